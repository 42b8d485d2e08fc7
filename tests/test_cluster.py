"""docs/cluster and docs/scaling.md: pre-training on two "nodes" of this machine, and the files as far as one can."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from k2model.training import plan
from k2model.training.token_shards import ShardWriter
from tests.conftest import ROOT, checkout_env, make_checkout
from tests.servers import free_port
from tests.small_data import write_corpus, write_tokenizer

Run = Callable[..., "subprocess.CompletedProcess[str]"]
CLUSTER = ROOT / "docs" / "cluster"

# What `srun` does: the command on each node, none of them a child of the stage's shell.
TWO_NODES = """
import os, subprocess, sys
nodes = [subprocess.Popen([*sys.argv[1:]], start_new_session=True) for _ in range(2)]
sys.exit(max(node.wait() for node in nodes))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, run_in: Run) -> Path:
    """A smoke checkout with small token shards, for two ranks."""
    folder = make_checkout(tmp_path_factory.mktemp("cluster") / "checkout")
    run_in(folder, sys.executable, "-m", "stages.dial", "--size", "smoke", "--write")
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["pretrain"]["ranks"] = 2
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    rng = np.random.default_rng(0)
    writer = ShardWriter(folder / "data" / "tokens", vocab_size=320, bos=1, shard_tokens=4000)
    for _ in range(100):
        writer.add("train", [1, *rng.integers(3, 320, 100).tolist(), 2])
    writer.close({"eos": 2, "pad": 0})
    write_tokenizer(folder / "data", 320)
    write_corpus(folder / "data")
    run_in(folder, sys.executable, "-m", "stages.base")
    return folder


def _weights(folder: Path) -> bytes:
    (file,) = (folder / "models" / "pretrain").glob("*.safetensors")
    return file.read_bytes()


@pytest.mark.slow
def test_two_nodes_by_torchrun_and_by_deepspeeds_launcher_train_the_same_weights(
    checkout: Path, run_in: Run, tmp_path: Path
) -> None:
    srun = tmp_path / "srun.py"
    srun.write_text(TWO_NODES)
    rendezvous = f"--nnodes=2 --nproc-per-node=1 --rdzv-backend=c10d --rdzv-endpoint=127.0.0.1:{free_port()}"
    launcher = f"{sys.executable} {srun} {sys.executable} -m torch.distributed.run {rendezvous}"
    ours = {"K2_PIPELINE_RUN": "test"}
    ran = run_in(checkout, sys.executable, "-m", "stages.pretrain", K2_LAUNCHER=launcher, **ours)
    assert re.search(r"^pretrain: .* tokens, loss .* s$", ran.stdout, re.MULTILINE), ran.stdout
    by_torchrun = _weights(checkout)

    for folder in (checkout / "work").glob("pretrain/*"):
        subprocess.run(["rm", "-r", folder], check=True)
    (checkout / "hostfile").write_text("node-a slots=1\nnode-b slots=1\n")
    port = str(free_port())
    deepspeed = [sys.executable, "-m", "deepspeed.launcher.runner", "--hostfile", "hostfile", "--no_ssh"]
    meet = ["--master_addr", "127.0.0.1", "--master_port", port, "--module", "stages.pretrain"]
    second = subprocess.Popen(
        [*deepspeed, "--node_rank", "1", *meet],
        cwd=checkout,
        env=checkout_env() | ours,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        first = run_in(checkout, *deepspeed, "--node_rank", "0", *meet, **ours)
        assert second.wait(60) == 0
    finally:
        second.kill()
    assert re.search(r"pretrain: .* tokens, loss .* s$", first.stdout, re.MULTILINE), first.stdout
    assert _weights(checkout) == by_torchrun


@pytest.mark.parametrize("script", sorted(path.name for path in CLUSTER.glob("*") if path.suffix in (".sh", ".sbatch")))
def test_scripts_are_bash(script: str) -> None:
    subprocess.run(["bash", "-n", CLUSTER / script], check=True)
    text = (CLUSTER / script).read_text()
    assert "set -euo pipefail" in text
    if script.endswith(".sbatch"):
        options = re.findall(r"^#SBATCH --([a-z-]+)=?(\S*)$", text, re.MULTILINE)
        first_command = text.index("set -euo")
        assert {"nodes", "gpus-per-node", "time", "output"} <= {name for name, _ in options}
        assert text.rindex("#SBATCH") < first_command, "Slurm reads options only before the first command"


def test_an_unknown_server_is_named() -> None:
    done = subprocess.run([CLUSTER / "serve.sh", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


def test_the_hostfile_is_read_by_deepspeed() -> None:
    from deepspeed.launcher.runner import fetch_hostfile

    assert dict(fetch_hostfile(str(CLUSTER / "hostfile"))) == {f"node-{k}": 8 for k in range(1, 5)}


def test_stores_are_the_variables_that_mlflow_and_dvc_read() -> None:
    command = "K2_DB_PASSWORD=p K2_S3_KEY=k K2_S3_SECRET=s; set -a; source stores.env; env"
    said = subprocess.run(["bash", "-euc", command], cwd=CLUSTER, capture_output=True, text=True, check=True).stdout
    env = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    assert env["MLFLOW_TRACKING_URI"] == "postgresql://k2:p@db.example.org:5432/mlflow"
    assert env["MLFLOW_DEFAULT_ARTIFACT_ROOT"].startswith("s3://")
    assert env["AWS_ACCESS_KEY_ID"] == "k"
    assert env["MLFLOW_S3_ENDPOINT_URL"] == env["AWS_ENDPOINT_URL_S3"]


def _manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((CLUSTER / "kubernetes.yaml").read_text()))


def _check_pod(spec: dict[str, Any], claims: set[str]) -> None:
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    for volume in volumes.values():
        if "persistentVolumeClaim" in volume:
            assert volume["persistentVolumeClaim"]["claimName"] in claims
    for container in spec["containers"]:
        assert set(container) <= {
            "name", "image", "imagePullPolicy", "workingDir", "command", "args", "env", "envFrom", "ports",
            "readinessProbe", "resources", "volumeMounts",
        }  # fmt: skip
        assert {mount["name"] for mount in container.get("volumeMounts", [])} <= set(volumes)
        assert "memory" in container["resources"]["limits"]


def test_kubernetes_manifests_fit_together() -> None:
    found = {(one["kind"], one["metadata"]["name"]): one for one in _manifests()}
    assert len(found) == len(_manifests())
    versions = {"Deployment": "apps/v1", "Job": "batch/v1", "Service": "v1", "PersistentVolumeClaim": "v1"}
    claims = {name for kind, name in found if kind == "PersistentVolumeClaim"}
    pods = {}
    for (kind, name), one in found.items():
        assert one["apiVersion"] == versions[kind], name
        if kind in ("Deployment", "Job"):
            template = one["spec"]["template"]
            _check_pod(template["spec"], claims)
            pods[name] = template["metadata"]["labels"] | ({"job-name": name} if kind == "Job" else {})
        if kind == "Deployment":
            assert one["spec"]["selector"]["matchLabels"].items() <= pods[name].items()
    for (kind, name), one in found.items():
        if kind == "Service":
            assert any(one["spec"]["selector"].items() <= labels.items() for labels in pods.values()), name
    job = found["Job", "k2-pretrain"]["spec"]
    (rank,) = job["template"]["spec"]["containers"]
    assert f"--nnodes={job['completions']}" in rank["command"]
    assert f"--nproc-per-node={rank['resources']['limits']['nvidia.com/gpu']}" in rank["command"]
    where = f"k2-pretrain-0.{job['template']['spec']['subdomain']}:{rank['ports'][0]['containerPort']}"
    assert f"--rdzv-endpoint={where}" in rank["command"]


def test_the_kubernetes_pools_template_uses_only_variables_that_it_declares() -> None:
    template = json.loads((CLUSTER / "kubernetes-pool.json").read_text())
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert used <= set(template["variables"]["properties"])
    _check_pod(template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"], {"{{ claim }}"})


def test_the_table_of_plans_is_what_the_planner_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "scaling.md").read_text()
    rows = re.findall(r"^\| `k2 plan (\S+ --gpus .*?)` \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) >= 4
    for arguments, cells in rows:
        monkeypatch.setattr(sys, "argv", ["k2 plan", *arguments.split()])
        assert plan.main() == 0
        said = capsys.readouterr().out
        layout, states, total, memory, days = cells.split(" | ")
        assert f" {layout}, micro-batches" in said
        assert f"states {states};" in said, arguments
        assert re.search(rf"sum +{re.escape(total)}$", said, re.MULTILINE), arguments
        assert re.search(rf"of \w+ +{float(memory.split()[0]):.2f} GB$", said, re.MULTILINE), arguments
        assert f": {days} days" in said
