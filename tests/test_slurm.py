"""docs/cluster/pretrain.sbatch on a real Slurm: two nodes of this machine, requeued in the middle of pre-training.

apt-get install slurm-wlm munge; pytest -m drivers tests/test_slurm.py
"""

import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import checkout_env, make_checkout
from tests.slurm import asked, two_nodes

pytestmark = [
    pytest.mark.drivers,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not shutil.which("slurmctld"), reason="wants Debian's slurm-wlm and munge"),
]


def _state(environment: dict[str, str], job: str) -> str:
    found = re.search(r"JobState=(\w+)", asked(environment, "scontrol", "show", "job", job))
    assert found is not None
    return found[1]


def _wait(what: Callable[[], Any], seconds: float, log: Path) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, log.read_text() if log.exists() else "no log"
        time.sleep(0.5)


def test_a_requeued_job_on_two_nodes_ends_with_the_bytes_of_one_that_was_not(
    tmp_path: Path, run_in: Callable[..., Any]
) -> None:
    folder = make_checkout(tmp_path / "checkout")
    run_in(folder, sys.executable, "-m", "stages.dial", "--size", "smoke", "--write")
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["corpus"] |= {"max_docs_per_source": 100}
    params["pretrain"] |= {"ranks": 2, "steps": 200}
    params["pretrain"]["checkpoint"] |= {"every_steps": 10}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "work").mkdir(exist_ok=True)
    slurm = tmp_path / "slurm"
    slurm.mkdir()
    with two_nodes(slurm) as found:
        environment = {**checkout_env(), **found}
        options = ["--nodes=2", "--gpus-per-node=0", "--cpus-per-task=1"]
        submit = ["sbatch", *options, "docs/cluster/pretrain.sbatch", "pretrain"]
        job = re.findall(r"\d+", asked(environment, *submit, cwd=folder))[0]
        log = folder / "work" / f"slurm-{job}.log"
        _wait(lambda: list(folder.glob("work/pretrain/*/checkpoints/step-*[1-9]0/manifest.json")), 900, log)
        asked(environment, "scontrol", "requeue", job)
        asked(environment, "scontrol", "update", f"JobId={job}", "StartTime=now")
        _wait(lambda: _state(environment, job) == "COMPLETED", 600, log)
    said = log.read_text()
    assert re.search(r"resumed at step \d+0 of", said) and "nnodes" not in said
    assert len(re.findall(r"^pretrain: .* tokens, loss .* s$", said, re.MULTILINE)) == 1
    (weights,) = (folder / "models/pretrain").glob("*.safetensors")
    by_slurm = weights.read_bytes()
    shutil.rmtree(folder / "work/pretrain")
    run_in(folder, sys.executable, "-m", "stages.pretrain", K2_PIPELINE_RUN="test")
    assert weights.read_bytes() == by_slurm
