"""The cluster back end against a kubectl of our own on PATH, which runs a pod's command on this machine."""

import json
from pathlib import Path

import pytest
import yaml

from agents.chat.protocol import ChatRequest
from gym.benchmarks.human_eval import HumanEval
from gym.sandbox import Job, Limits, SandboxError, Verdict
from gym.sandbox import kubernetes as module
from gym.sandbox.kubernetes import KubernetesSandbox, manifest
from stages.evaluate import standalone
from stages.harness.errors import InputError
from stages.harness.sandbox import sandboxes
from stages.rl.families import open_families
from stages.rl.limits import Limits as RolloutLimits
from tests.answering import Answering
from tests.conftest import ROOT
from tests.gym.sandbox.stand_in import script

KUBECTL = """
import pathlib
state = pathlib.Path(os.environ["CLUSTER"])
verb, rest = sys.argv[2], sys.argv[3:]
open(state / "log", "a").write(" ".join(sys.argv[1:]) + chr(10))
if verb == "apply":
    (state / "applied").write_text(sys.stdin.read())
elif verb == "get" and rest[0] == "networkpolicies":
    print((state / "policies").read_text())
elif verb == "create":
    if "deny" in os.environ:
        sys.exit("quota exceeded")
    (state / "job").write_text(sys.stdin.read())
    (state / "state").write_text(os.environ.get("STATE", '{"running": {}}'))
elif verb == "get":
    status = {"containerStatuses": [{"state": json.loads((state / "state").read_text())}]}
    status["reason"] = os.environ.get("LOST", "")
    print(json.dumps({"items": [{"metadata": {"name": "pod-1"}, "status": status}]}))
elif verb == "attach":
    tries = state / "tries"
    tries.write_text(str(int(tries.read_text()) + 1 if tries.exists() else 1))
    found = os.environ["FOUND"] if int(tries.read_text()) <= int(os.environ["OPEN_FOR"]) else "[]"
    container = json.loads((state / "job").read_text())["spec"]["template"]["spec"]["containers"][0]
    status = stand_in.serve(container["command"][1:], found)
    (state / "state").write_text(json.dumps({"terminated": {"exitCode": status}}))
    sys.exit(status)
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(script(KUBECTL))
    kubectl.chmod(0o755)
    (tmp_path / "policies").write_text('{"items": []}')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CLUSTER", str(tmp_path))
    monkeypatch.setenv("PACKAGES", str(tmp_path / "packages"))
    monkeypatch.setenv("FOUND", '["it reaches 1.1.1.1:443"]')
    monkeypatch.setenv("OPEN_FOR", "0")
    monkeypatch.setattr(module, "POLL_S", 0.02)
    monkeypatch.setattr(module, "PROBE_PAUSE_S", 0.02)
    return tmp_path


def test_a_job_runs_its_files_come_back_and_it_is_deleted(cluster: Path) -> None:
    box = KubernetesSandbox("tiny", "lab")
    source = (
        "import sys\nopen('new', 'wb').write(bytes([0, 255]))\nprint(open('data/in.txt').read() + input(), *sys.argv)"
    )
    outcome = box.run(Job(source=source, files={"data/in.txt": b"a"}, stdin="b", args=["c"], keep=["new"]))
    assert (outcome.verdict, outcome.stdout) == (Verdict.OK, "ab main.py c\n"), outcome
    assert outcome.files == {"new": b"\x00\xff"}
    lines = (cluster / "log").read_text().splitlines()
    assert all(line.startswith("--namespace=lab ") for line in lines)
    assert "attach --stdin --quiet pod-1" in lines[-2]
    assert " delete job/sandbox-" in lines[-1]


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("raise SystemExit(3)", Verdict.WRONG_EXIT),
        ("while True: pass", Verdict.CPU_LIMIT),
        ("import time; time.sleep(60)", Verdict.WALL_LIMIT),
        ("print('x' * 5000)", Verdict.OUTPUT_LIMIT),
        ("raise MemoryError", Verdict.MEMORY_LIMIT),
        ("killed", Verdict.MEMORY_LIMIT),
        ("dies", Verdict.DENIED),
    ],
)
def test_verdicts(cluster: Path, source: str, verdict: Verdict) -> None:
    wall = 0.5 if verdict is Verdict.WALL_LIMIT else 20.0
    limits = Limits(cpu_s=1.0, wall_s=wall, output_bytes=2000)
    outcome = KubernetesSandbox("tiny", "lab").run(Job(source=source, limits=limits))
    assert outcome.verdict is verdict, outcome
    assert len(outcome.stdout) <= 2000


def test_a_refusal_of_the_cluster_is_no_verdict_on_the_program(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = KubernetesSandbox("tiny", "lab")
    monkeypatch.setenv("LOST", "Evicted")
    lost = box.run(Job(source="dies"))
    assert (lost.verdict, "Evicted" in lost.detail) == (Verdict.INFRASTRUCTURE_ERROR, True)
    monkeypatch.setenv("STATE", '{"waiting": {"reason": "ErrImagePull"}}')
    missing = box.run(Job(source="print(1)"))
    assert (missing.verdict, "ErrImagePull" in missing.detail) == (Verdict.INFRASTRUCTURE_ERROR, True)
    monkeypatch.setenv("deny", "1")
    denied = box.run(Job(source="print(1)"))
    assert (denied.verdict, "quota exceeded" in denied.detail) == (Verdict.INFRASTRUCTURE_ERROR, True)


def test_the_policy_is_applied_before_anything_runs(cluster: Path) -> None:
    KubernetesSandbox("tiny", "lab")
    policy = json.loads((cluster / "applied").read_text())
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app": "k2-sandbox"}}
    assert sorted(policy["spec"]["policyTypes"]) == ["Egress", "Ingress"]
    assert not policy["spec"]["egress"]
    assert not policy["spec"]["ingress"]
    verbs = [line.split()[1] for line in (cluster / "log").read_text().splitlines()]
    assert verbs.index("apply") < verbs.index("create")
    pod = json.loads((cluster / "job").read_text())["spec"]["template"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


@pytest.mark.parametrize(
    "spec",
    [
        {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
        {"podSelector": {"matchLabels": {"app": "k2-sandbox"}}, "ingress": [{"from": []}]},
        {"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}, "egress": [{}]},
    ],
)
def test_a_policy_of_others_that_opens_the_network_fails_closed(cluster: Path, spec: dict[str, object]) -> None:
    (cluster / "policies").write_text(json.dumps({"items": [{"metadata": {"name": "theirs"}, "spec": spec}]}))
    with pytest.raises(SandboxError, match="NetworkPolicy theirs in lab lets sandboxes connect"):
        KubernetesSandbox("tiny", "lab")
    assert " create " not in (cluster / "log").read_text()


def test_policies_of_other_pods_do_not_matter(cluster: Path) -> None:
    spec = {"podSelector": {"matchLabels": {"app": "other"}}, "egress": [{}]}
    (cluster / "policies").write_text(json.dumps({"items": [{"metadata": {"name": "theirs"}, "spec": spec}]}))
    KubernetesSandbox("tiny", "lab")


def test_as_long_as_a_probe_gets_out_nothing_runs(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPEN_FOR", "2")  # the plugin takes a moment
    KubernetesSandbox("tiny", "lab")
    assert (cluster / "tries").read_text() == "3"
    monkeypatch.setenv("OPEN_FOR", "1000")
    with pytest.raises(SandboxError, match=r"namespace lab: a program is not confined: it reaches 1\.1\.1\.1:443"):
        KubernetesSandbox("tiny", "lab")


def test_a_pod_that_runs_as_root_is_refused_at_once(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPEN_FOR", "1000")
    monkeypatch.setenv("FOUND", '["it runs as root"]')
    with pytest.raises(SandboxError, match="it runs as root"):
        KubernetesSandbox("tiny", "lab")
    assert (cluster / "tries").read_text() == "1"


def test_libraries_travel_with_a_job(cluster: Path) -> None:
    own = cluster / "own"
    own.mkdir()
    (own / "only_here.py").write_text("VALUE = 6\n")
    box = KubernetesSandbox("tiny", "lab", libraries=own)
    place = str(cluster / "packages")
    outcome = box.run(Job(source=f"import sys; sys.path.append({place!r})\nimport only_here; print(only_here.VALUE)"))
    assert outcome.stdout == "6\n", outcome
    pod = json.loads((cluster / "job").read_text())["spec"]["template"]["spec"]
    assert {"name": "libraries", "mountPath": place} in pod["containers"][0]["volumeMounts"]
    assert {"name": "PYTHONHASHSEED", "value": "0"} in pod["containers"][0]["env"]


def test_no_kubectl_is_one_line(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(cluster / "none"))
    with pytest.raises(SandboxError, match="needs kubectl on PATH"):
        KubernetesSandbox("tiny", "lab")


def test_a_job_has_no_rights_and_no_retries() -> None:
    job = manifest(Job(source="print(1)"), "job-7", "tiny")
    spec = job["spec"]["template"]["spec"]
    container = spec["containers"][0]
    assert job["spec"]["backoffLimit"] == 0
    assert spec["restartPolicy"] == "Never"
    assert spec["automountServiceAccountToken"] is False
    rights = container["securityContext"]
    assert rights["runAsNonRoot"]
    assert rights["runAsUser"] > 0
    assert rights["readOnlyRootFilesystem"]
    assert rights["allowPrivilegeEscalation"] is False
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"] == "624Mi"
    assert "print(1)" not in json.dumps(job)


@pytest.fixture
def pipeline(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose params.yaml names the cluster."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["sandbox"] = {"backend": "kubernetes", "image": "lab/python:3.11", "namespace": "lab", "workers": 1}
    (cluster / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(cluster)
    return cluster


def _pods(cluster: Path) -> int:
    """Jobs created in the namespace of params.yaml, of its image."""
    lines = (cluster / "log").read_text().splitlines()
    assert all(line.startswith("--namespace=lab ") for line in lines)
    container = json.loads((cluster / "job").read_text())["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "lab/python:3.11"
    return sum(line.split()[1] == "create" for line in lines)


def test_evaluate_grades_programs_on_the_cluster_that_params_name(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = HumanEval()
    gold = {str(sample.messages[-1]["content"]): bench.gold_reply(sample).text for sample in bench.items()}

    def answer(request: ChatRequest) -> str:
        return gold[str(request.messages[-1]["content"])] if len(client.asked) != 1 else "def nothing(): pass"

    client = Answering(answer)
    monkeypatch.setattr(standalone.arena, "opener", lambda *options: lambda target: client)
    monkeypatch.setattr(standalone, "log_run", lambda *told, **more: None)  # seconds
    command = ["--target", "http://127.0.0.1:1/v1", "--model", "made", "--benchmarks", "humaneval", "--items", "2"]
    assert standalone.run([*command, "--repeats", "1", "--out", "out"]) == 0, capsys.readouterr()
    assert json.loads(Path("out/scores.json").read_text())["humaneval"] == 0.5
    assert _pods(pipeline) > 2  # the probe, and each answer
    monkeypatch.setenv("FOUND", '["it runs as root"]')
    monkeypatch.setenv("OPEN_FOR", "1000")
    capsys.readouterr()
    assert standalone.run([*command, "--repeats", "1", "--out", "other"]) == 2
    said = capsys.readouterr().err.strip()
    assert said == "evaluate: kubernetes: namespace lab: a program is not confined: it runs as root"


def test_rl_scores_code_on_the_cluster_that_params_name(pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = RolloutLimits(64, 64, 3)
    with open_families(["code"], pipeline / "none.parquet", limits, sandboxes()) as families:
        before = _pods(pipeline)
        (task,) = families.tasks("code", "train", 1, 3, 0.0)
        right = families.tasksets["code"].score(task, task.payload["source"])
        wrong = families.tasksets["code"].score(task, f"def {task.payload['function']}(*_): return ...")
        assert (right.score, wrong.score) == (1.0, 0.0), (right, wrong)
        assert _pods(pipeline) > before
    monkeypatch.setenv("PATH", str(pipeline / "none"))
    opened = open_families(["code"], pipeline / "none.parquet", limits, sandboxes())
    with pytest.raises(InputError, match="sandbox.backend kubernetes: kubernetes: needs kubectl on PATH"), opened:
        pass
