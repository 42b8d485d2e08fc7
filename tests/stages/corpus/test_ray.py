"""A Ray cluster of two workers on this machine; needs the extra `ray`."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from stages.corpus.document import Document
from stages.corpus.files import UserFile
from stages.corpus.prepare import Piece, Recipe, pieces, prepare
from stages.corpus.user import stretches
from stages.corpus.workers import in_order
from stages.harness.errors import InputError
from tests.conftest import ROOT
from tests.servers import free_port
from tests.stages.corpus.made import documents, random_texts

pytest.importorskip("ray")
pytestmark = pytest.mark.slow
RAY = [sys.executable, "-m", "ray.scripts.scripts"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster whose workers can import this checkout."""
    port, client = free_port(), free_port()
    log = tmp_path_factory.mktemp("ray") / "log"
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}", "RAY_USAGE_STATS_ENABLED": "0"}
    options = ["--head", "--block", "--num-cpus=2", "--include-dashboard=false", "--object-store-memory=200000000"]
    with log.open("wb") as out:
        command = [*RAY, "start", *options, f"--port={port}", f"--ray-client-server-port={client}"]
        head = subprocess.Popen(command, env=env, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 180
        while "Ray runtime started" not in log.read_text():
            assert head.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        yield f"ray://127.0.0.1:{client}"
    finally:
        head.terminate()
        head.wait(60)


def _pieces(every: list[Document]) -> Iterator[Piece]:
    return iter([every[begin : begin + 20] for begin in range(0, len(every), 20)])


def test_two_ray_workers_give_the_bytes_of_one_process(cluster: str) -> None:
    every = documents(random_texts(5, 200))
    recipe = Recipe(10, 5, 11)
    found = list(in_order(partial(prepare, recipe=recipe), _pieces(every), cluster, 1))
    assert found == [prepare(piece, recipe) for piece in _pieces(every)]


def test_a_fault_on_the_cluster_is_the_same_line(cluster: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a"}\n{"text": 5}\n')
    piece = pieces(stretches(UserFile(str(tmp_path / "x.jsonl"), "x.jsonl"), 99))
    with pytest.raises(InputError, match=r"x\.jsonl: row 2: no text$"):
        list(in_order(partial(prepare, recipe=Recipe(0, 5, 11)), piece, cluster, 1))
