"""Real gloo processes: any number of ranks trains the same weights, and each keeps less optimizer state."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

WORKER = Path(__file__).with_name("train_ranks.py")
ROOT = Path(__file__).parents[2]
# Only the order of the float32 sum of gradients differs; Newton–Schulz amplifies it in directions of no gradient.
TOLERANCE = 1e-3


def train(folder: Path, ranks: int) -> list[dict[str, torch.Tensor]]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    out = folder / f"of{ranks}"
    command = [sys.executable, str(WORKER)]
    running = [
        subprocess.Popen([*command, str(r), str(ranks), str(folder / f"store{ranks}"), str(out)], env=env)
        for r in range(ranks)
    ]
    try:
        assert [one.wait(timeout=300) for one in running] == [0] * ranks
    finally:
        for one in running:
            one.kill()
    return [load_file(f"{out}-{rank}.safetensors") for rank in range(ranks)]


@pytest.mark.slow
def test_one_two_and_four_ranks_train_the_same_weights(tmp_path):
    runs = {ranks: train(tmp_path, ranks) for ranks in (1, 2, 4)}
    one = runs[1][0]
    weights = [name for name in one if name not in ("state_bytes", "clipped")]
    for ranks in (2, 4):
        for name in weights:
            assert all(torch.equal(runs[ranks][0][name], other[name]) for other in runs[ranks][1:]), name
            a, b = one[name].double(), runs[ranks][0][name].double()
            assert (a - b).norm() <= TOLERANCE * max(a.norm(), 1e-9), name
        assert int(runs[ranks][0]["clipped"]) == int(one["clipped"]) > 0
    most = {ranks: max(int(r["state_bytes"]) for r in runs[ranks]) for ranks in runs}
    assert most[2] < 0.6 * most[1] and most[4] < 0.6 * most[2]
