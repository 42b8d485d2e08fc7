"""The cluster adapter against a kubectl of our own on PATH, which runs the Job's command on this machine."""

import json
import sys
from pathlib import Path

import pytest

from gym.sandbox import Job, Limits, SandboxError, Verdict
from gym.sandbox import kubernetes as module
from gym.sandbox.kubernetes import KubernetesSandbox, manifests

DENY = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
KUBECTL = f"""#!{sys.executable}
import base64, json, os, pathlib, subprocess, sys
state = pathlib.Path(os.environ["CLUSTER"])
verb, rest = sys.argv[2], sys.argv[3:]
open(state / "log", "a").write(" ".join(sys.argv[1:]) + chr(10))
if verb == "get" and rest[0] == "networkpolicies":
    print(json.dumps({{"items": [{{"spec": spec}} for spec in json.loads((state / "policies").read_text())]}}))
elif verb == "create":
    config, job = json.load(sys.stdin)["items"]
    if "deny" in os.environ:
        sys.exit("quota exceeded")
    files, work = state / "files", state / "work"
    for one in (files, work):
        one.mkdir()
    pod = job["spec"]["template"]["spec"]
    for item in pod["volumes"][0]["configMap"]["items"]:
        path = files / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(config["binaryData"][item["key"]]))
    command = [one.replace("/files", str(files)).replace("/work", str(work)) for one in pod["containers"][0]["command"]]
    command[2] = command[2].replace("/dev/termination-log", str(state / "message"))
    command = [sys.executable if one == "python3" else one for one in command]
    with open(state / "out", "wb") as out:
        process = subprocess.Popen(command, cwd=work, stdout=out)
    try:
        code = process.wait(float(os.environ["PATIENCE"]))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        code = None
    ended = {{"exitCode": 128 - code if code and code < 0 else code, "reason": "Error" if code else "Completed"}}
    if code is not None:
        ended["message"] = (state / "message").read_text()[-4096:]
    (state / "state").write_text(json.dumps({{"running": {{}}}} if code is None else {{"terminated": ended}}))
elif verb == "get":
    state_ = json.loads((state / "state").read_text())
    print(json.dumps({{"items": [{{"status": {{"containerStatuses": [{{"state": state_}}]}}}}]}}))
elif verb == "logs":
    print((state / "out").read_text()[: int(rest[1].split("=")[1])], end="")
elif verb == "delete":
    import shutil
    for one in ("files", "work"):
        shutil.rmtree(state / one, ignore_errors=True)
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    (tmp_path / "policies").write_text(json.dumps([DENY]))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CLUSTER", str(tmp_path))
    monkeypatch.setenv("PATIENCE", "30")
    monkeypatch.setattr(module, "POLL_S", 0.02)
    return tmp_path


def test_a_job_runs_and_is_deleted(cluster: Path) -> None:
    box = KubernetesSandbox("tiny", "lab")
    source = "import sys\nopen('new', 'w').write('w')\nprint(open('data/in.txt').read() + input(), *sys.argv[1:])"
    outcome = box.run(Job(source=source, files={"data/in.txt": b"a"}, stdin="b", args=["c"]))
    assert (outcome.verdict, outcome.stdout) == (Verdict.OK, "ab c\n"), outcome
    lines = (cluster / "log").read_text().splitlines()
    assert all(line.startswith("--namespace=lab ") for line in lines)
    assert " delete job/sandbox-" in lines[-1]


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("raise SystemExit(3)", Verdict.WRONG_EXIT),
        ("while True: pass", Verdict.CPU_LIMIT),
        ("import time; time.sleep(60)", Verdict.WALL_LIMIT),
        ("print('x' * 1000)", Verdict.OUTPUT_LIMIT),
        ("raise MemoryError", Verdict.MEMORY_LIMIT),
    ],
)
def test_verdicts(cluster: Path, source: str, verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    if verdict is Verdict.WALL_LIMIT:
        monkeypatch.setenv("PATIENCE", "0.3")
    box = KubernetesSandbox("tiny", "lab")
    outcome = box.run(Job(source=source, limits=Limits(cpu_s=1.0, wall_s=0.1, output_bytes=100)))
    assert outcome.verdict is verdict, outcome
    assert len(outcome.stdout) <= 100


def test_a_refusal_of_the_cluster_is_no_verdict_on_the_program(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("deny", "1")
    outcome = KubernetesSandbox("tiny", "lab").run(Job(source="print(1)"))
    assert outcome.verdict is Verdict.INFRASTRUCTURE_ERROR
    assert "quota exceeded" in outcome.detail


@pytest.mark.parametrize(
    "policies",
    [
        [],
        [{"podSelector": {}, "policyTypes": ["Ingress"]}],
        [{**DENY, "egress": [{}]}],
        [{**DENY, "podSelector": {"matchLabels": {"app": "other"}}}],
    ],
)
def test_an_open_network_fails_closed(cluster: Path, policies: list[dict[str, object]]) -> None:
    (cluster / "policies").write_text(json.dumps(policies))
    with pytest.raises(SandboxError, match="namespace lab has no NetworkPolicy that denies all traffic"):
        KubernetesSandbox("tiny", "lab")


def test_no_kubectl_and_files_to_read_back_are_refused(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SandboxError, match="can't read files back"):
        KubernetesSandbox("tiny", "lab").run(Job(source="1", keep=["x"]))
    monkeypatch.setenv("PATH", str(cluster / "none"))
    with pytest.raises(SandboxError, match="needs kubectl on PATH"):
        KubernetesSandbox("tiny", "lab")


def test_a_job_has_no_rights_and_no_retries() -> None:
    config, job = manifests(Job(source="print(1)", env={"A": "1"}), "job-7", "tiny")
    spec = job["spec"]["template"]["spec"]
    container = spec["containers"][0]
    assert config["immutable"] is True
    assert job["spec"]["backoffLimit"] == 0
    assert spec["restartPolicy"] == "Never"
    assert spec["automountServiceAccountToken"] is False
    rights = container["securityContext"]
    assert rights["runAsNonRoot"]
    assert rights["readOnlyRootFilesystem"]
    assert rights["allowPrivilegeEscalation"] is False
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"] == "512Mi"
    assert container["command"][-3:] == ["python3", "-I", "main.py"]
