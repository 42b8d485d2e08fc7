"""Memory of a rank while it opens a model and takes a step, against its planned share."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from k2model.config import K2Config
from k2model.formats.checkpoint import save_checkpoint
from k2model.model import K2Model
from k2model.training.plan import memory_per_gpu, state_memory
from tests.conftest import ROOT, checkout_env
from tests.k2model.training.peak_rank import LAYOUTS

SHARD = 8 * 2**20
LARGE = {"hidden_size": 192, "moe_intermediate_size": 384, "n_routed_experts": 16, "num_hidden_layers": 5}
CONFIG = K2Config.preset("smoke", vocab_size=2048, **LARGE)  # 15 million parameters


@pytest.mark.slow
def test_no_rank_takes_more_than_its_share_and_a_shard(tmp_path: Path) -> None:
    save_checkpoint(K2Model(K2Config.preset("smoke")), tmp_path / "tiny")
    save_checkpoint(K2Model(CONFIG, seed=1), tmp_path / "start", max_shard_bytes=SHARD)
    # Freed memory goes back at once, as it does for tensors of real size.
    env = checkout_env() | {
        "PYTHONPATH": str(ROOT),
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "65536",
    }
    command = [sys.executable, "-m", "tests.k2model.training.peak_rank"]
    running = [
        subprocess.Popen(
            [*command, str(rank), "2", str(tmp_path / "store"), str(tmp_path)],
            env=env,
        )
        for rank in range(2)
    ]
    assert [process.wait(300) for process in running] == [0, 0]
    for rank in range(2):
        peaks = json.loads((tmp_path / f"peaks-{rank}.json").read_text())
        for name, layout in LAYOUTS.items():
            opened, stepped = peaks[name]
            share = state_memory(CONFIG, layout, 2, matrices="muon", stored=4.0).states
            assert opened <= 1.3 * share + SHARD, name
            assert stepped <= 1.1 * memory_per_gpu(CONFIG, layout, 2, tokens=32).total + 2 * SHARD, name
