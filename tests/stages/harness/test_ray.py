"""A Ray cluster of two workers on this machine; run by hand, with the extra `ray`:

pytest -m drivers tests/stages/harness/test_ray.py
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from stages.corpus.files import UserFile
from stages.corpus.prepare import Recipe, pieces, prepare
from stages.corpus.user import stretches
from stages.harness.errors import InputError
from stages.harness.workers import in_order
from tests.conftest import ROOT, checkout_env
from tests.servers import free_port
from tests.stages.corpus.made import OUTS, own_texts
from tests.stages.corpus.made import SMALL as SMALL_CORPUS
from tests.stages.harness.made import slow_process
from tests.stages.tokens.made import SMALL as SMALL_TOKENS
from tests.stages.tokens.made import fill

ray = pytest.importorskip("ray", reason="no Ray: pip install 'k2-pipeline[ray]'")
pytestmark = [pytest.mark.drivers, pytest.mark.timeout(1200)]
RAY = [sys.executable, "-m", "ray.scripts.scripts"]
PACKAGES = Path(ray.__file__).parents[1]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster whose workers can import this checkout."""
    port, client = free_port(), free_port()
    log = tmp_path_factory.mktemp("ray") / "log"
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{PACKAGES}", "RAY_USAGE_STATS_ENABLED": "0"}
    options = ["--head", "--block", "--num-cpus=2", "--include-dashboard=false", "--object-store-memory=200000000"]
    with log.open("wb") as out:
        command = [*RAY, "start", *options, f"--port={port}", f"--ray-client-server-port={client}"]
        head = subprocess.Popen(command, env=env, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 300
        while "Ray runtime started" not in log.read_text():
            assert head.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        yield f"ray://127.0.0.1:{client}"
    finally:
        head.terminate()
        head.wait(60)


def test_two_workers_work_at_once_and_results_come_in_order(cluster: str) -> None:
    found = list(in_order(slow_process, range(8), cluster, 1))
    assert [item for item, _ in found] == list(range(8))
    processes = {process for _, process in found}
    assert len(processes) >= 2 and os.getpid() not in processes


def test_a_fault_on_the_cluster_is_the_same_line(cluster: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a"}\n{"text": 5}\n')
    piece = pieces(stretches(UserFile(str(tmp_path / "x.jsonl"), "x.jsonl"), 99))
    with pytest.raises(InputError, match=r"x\.jsonl: row 2: no text$"):
        list(in_order(partial(prepare, recipe=Recipe(0, 5, 11)), piece, cluster, 1))


@pytest.mark.parametrize("stage", ["corpus", "tokens"])
def test_a_stage_gives_the_bytes_of_one_process(cluster: str, smoke_checkout: Path, stage: str) -> None:
    if stage == "corpus":
        own_texts(smoke_checkout / "own")
        code, outs = SMALL_CORPUS, [smoke_checkout / name for name in OUTS]
    else:
        fill(smoke_checkout, 400)
        code, outs = SMALL_TOKENS, [smoke_checkout / "data/tokens", smoke_checkout / "metrics/tokens.json"]
    found = []
    for runner in ("native", cluster):
        params = yaml.safe_load((smoke_checkout / "params.yaml").read_text())
        params["runner"] = runner
        params["corpus"] |= {"sources": [], "paths": ["own"], "validation_fraction": 0.2}
        (smoke_checkout / "params.yaml").write_text(yaml.safe_dump(params))
        subprocess.run([sys.executable, "-m", "stages.inputs"], cwd=smoke_checkout, env=checkout_env(), check=True)
        env = checkout_env() | {"PYTHONPATH": str(PACKAGES)}
        subprocess.run([sys.executable, "-c", code], cwd=smoke_checkout, env=env, check=True)
        files = [file for out in outs for file in ([out] if out.is_file() else sorted(out.iterdir()))]
        found.append({file.name: file.read_bytes() for file in files})
        for file in files:
            file.unlink()
    assert found[0] == found[1]
