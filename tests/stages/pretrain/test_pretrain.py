"""Pre-training killed at random instants ends in the same bits as a run that never was."""

import contextlib
import random
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from k2model.config import K2Config
from k2model.formats.checkpoint import save_checkpoint
from k2model.model import K2Model
from k2model.training.token_shards import ShardWriter
from k2model.training.train_state import CheckpointWriter, key_of, list_checkpoints, newest_intact
from stages.pretrain.guard import LossGuard, LossProblem
from tests import forked
from tests.stages.pretrain import pretrain_rank


def shards(folder):
    rng = np.random.default_rng(0)
    writer = ShardWriter(folder / "tokens", vocab_size=290, bos=1, shard_tokens=500)
    for _ in range(60):
        writer.add("train", [1, *rng.integers(3, 256, 30).tolist(), 2])
    writer.close({"eos": 2, "pad": 0})
    save_checkpoint(K2Model(K2Config.preset("smoke", vocab_size=290), seed=1), folder / "base")


def start(folder, ranks, attempt, zero, spread):
    folder.mkdir(exist_ok=True)
    each = [(folder, rank, ranks, zero, spread, folder / f"store{attempt}") for rank in range(ranks)]
    return forked.start(pretrain_rank.run, each, folder / "log")


def kill_when(running, seen, delay):
    end = time.monotonic() + 200
    while not seen():
        assert time.monotonic() < end and all(process.is_alive() for process in running)
        time.sleep(0.001)
    time.sleep(delay)
    forked.kill(running)


def rows(folder):
    path = folder / "work" / "history.csv"
    return path.read_text().count("\n") - 1 if path.exists() else 0


def writing(folder, since):
    """A checkpoint after the second is being written; what an earlier kill left behind doesn't count."""
    checkpoints = folder / "work" / "checkpoints"
    for partial in checkpoints.glob(".step-*.partial"):
        with contextlib.suppress(FileNotFoundError):
            if partial.stat().st_mtime_ns > since and len(list_checkpoints(checkpoints)) > 1:
                return True
    return False


def same(a, b, ranks):
    assert (a / "work/history.csv").read_bytes() == (b / "work/history.csv").read_bytes()
    one, two = (list_checkpoints(f / "work/checkpoints")[-1] for f in (a, b))
    assert one.name == two.name
    assert (one / "state.json").read_bytes() == (two / "state.json").read_bytes()  # the place in the data too
    names = sorted(file.name for file in one.glob("*.safetensors"))
    assert names == sorted(file.name for file in two.glob("*.safetensors")) and len(names) == ranks
    for name in names:
        x, y = load_file(one / name), load_file(two / name)
        assert x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x), name


@pytest.mark.slow
def test_killed_runs_end_in_the_same_bits(tmp_path):
    """Of two ranks; one alone is killed in tests/test_pipeline.py."""
    ranks, zero, spread = 2, 3, 2
    shards(tmp_path)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    forked.finish(start(whole, ranks, 0, zero, spread))
    rng = random.Random(ranks)
    running = start(killed, ranks, 0, zero, spread)
    target = rng.randint(2, 4)
    kill_when(running, lambda: rows(killed) >= target, rng.random() * 0.05)
    since = time.time_ns()
    running = start(killed, ranks, 1, zero, spread)
    kill_when(running, lambda: writing(killed, since), 0.0)  # while a checkpoint is being written
    newest = list_checkpoints(killed / "work/checkpoints")[-1]
    file = newest / "rank-00000.safetensors"
    file.write_bytes(file.read_bytes()[:-1])  # and the newest one left is torn
    forked.finish(start(killed, ranks, 2, zero, spread))
    same(whole, killed, ranks)
    assert "skipped a corrupted checkpoint" in (killed / "log").read_text()


def test_a_corrupted_checkpoint_is_named_and_the_one_before_is_taken(tmp_path):
    writer = CheckpointWriter(tmp_path, keep=2, background=False)
    for step in (1, 2, 3):
        writer.save(step, {key_of("master", "w", 0, 4): torch.full((4,), float(step))}, {"step": step})
    assert [p.name for p in list_checkpoints(tmp_path)] == ["step-00000002", "step-00000003"]
    broken = tmp_path / "step-00000003" / "rank-00000.safetensors"
    data = bytearray(broken.read_bytes())
    data[-1] ^= 1
    broken.write_bytes(data)
    found, problems = newest_intact(tmp_path)
    assert found == tmp_path / "step-00000002"
    assert len(problems) == 1 and "step-00000003/rank-00000.safetensors: sha256 differs" in problems[0]


def test_the_guard_sees_nan_and_spikes_and_nothing_else():
    guard = LossGuard(16, 6.0, [3.0 + 0.01 * (k % 3) for k in range(10)])
    assert guard.problem(3.02, 1.0) is None
    assert guard.problem(1.0, 1.0) is None  # falling is no spike
    spike = guard.problem(4.0, 1.0)
    assert spike is not None and spike.kind == "spike" and "robust deviations" in spike.words
    assert guard.problem(float("nan"), 1.0) == LossProblem("not finite", "loss is nan")
    assert guard.problem(3.0, float("inf")) == LossProblem("not finite", "gradient norm is inf")
