"""The guard within the loop: each policy at a document that breaks the loss, and the batch that it names."""

import math

import numpy as np
import pytest
import torch

import stages.pretrain.loop as loop
from k2model.config import K2Config
from k2model.formats.checkpoint import save_checkpoint
from k2model.model import K2Model
from k2model.training.token_shards import ShardWriter, TokenStream
from stages.harness.errors import InputError
from stages.harness.hooks import Hooks
from stages.pretrain.loop import PretrainJob, Trainer, train
from stages.pretrain.params import PretrainParams
from tests.stages.pretrain.pretrain_rank import PARAMS

MARK = 250  # in one document alone
POISONED = 37
BATCH = PARAMS["global_batch_tokens"]
plain_loss = loop._loss


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("guard") / "tokens"
    writer = ShardWriter(folder, vocab_size=256, bos=1, shard_tokens=500)
    for number in range(60):
        text = rng.integers(3, 250, 30).tolist()
        writer.add("train", [1, *([MARK, *text[1:]] if number == POISONED else text), 2])
    writer.close({"eos": 2, "pad": 0})
    save_checkpoint(K2Model(K2Config.preset("smoke", vocab_size=256), seed=1), folder.parent / "base")
    return folder


def seed_with_the_mark_in_batch(tokens, number):
    """A data seed whose order puts the poisoned document's mark into this batch."""
    return next(seed for seed in range(200) if MARK in TokenStream(tokens, "train", seed).read(number * BATCH, BATCH))


def job(tokens, work, policy, *, batch=9, rollbacks=2):
    work.mkdir()
    guard = {"policy": policy, "window": 16, "z": 20.0, "max_rollbacks": rollbacks}
    params = PretrainParams.model_validate({**PARAMS, "guard": guard})
    return PretrainJob(
        params, tokens.parent / "base", frozenset(), seed_with_the_mark_in_batch(tokens, batch), 1, tokens, work
    )


def poison(monkeypatch, factor):
    """A micro-batch with the mark has its loss multiplied."""

    def loss_of(model, batch):
        loss, output = plain_loss(model, batch)
        return (loss * factor if (batch.tokens_BL == MARK).any() else loss), output

    monkeypatch.setattr(loop, "_loss", loss_of)


def named(line):
    return f"tokens {9 * BATCH:,} to {10 * BATCH:,} of the stream" in line and f"{POISONED}" in line


def test_stop_names_the_batch_and_takes_no_step(tokens, tmp_path, monkeypatch):
    poison(monkeypatch, math.nan)
    trainer = Trainer(job(tokens, tmp_path / "work", "stop"), Hooks())
    trainer.resume()
    with pytest.raises(InputError, match="step 10: loss is nan") as caught:
        trainer.run()
    assert named(str(caught.value)) and trainer.state.step == 9
    assert all(torch.isfinite(p).all() for p in trainer.engine.model.parameters())


@pytest.mark.parametrize("factor", [math.nan, 50.0])
def test_rollback_ends_in_the_bits_of_a_run_that_never_saw_the_batch(tokens, tmp_path, monkeypatch, factor):
    poison(monkeypatch, factor)
    said = []
    rolled = train(job(tokens, tmp_path / "rolled", "rollback"), Hooks(say=said.append))
    assert len(said) == 1 and named(said[0]) and "rolled back to step 8, the batch is skipped" in said[0]
    assert rolled.state.rollbacks == 1 and rolled.state.skipped == [9 * BATCH]
    assert rolled.history.column("step") == list(range(1, 13))
    clean = Trainer(job(tokens, tmp_path / "clean", "stop"), Hooks())
    clean.resume()
    clean.state.skipped = [9 * BATCH]
    clean.run()
    assert rolled.history.path.read_bytes() == clean.history.path.read_bytes()
    for (name, a), b in zip(rolled.engine.model.named_parameters(), clean.engine.model.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_rollbacks_run_out(tokens, tmp_path, monkeypatch):
    poison(monkeypatch, math.nan)
    with pytest.raises(InputError, match="0 rollbacks are used up") as caught:
        train(job(tokens, tmp_path / "work", "rollback", rollbacks=0))
    assert named(str(caught.value))


def test_log_goes_on_after_a_spike_and_stops_at_nan(tokens, tmp_path, monkeypatch):
    poison(monkeypatch, 50.0)
    said = []
    done = train(job(tokens, tmp_path / "spike", "log"), Hooks(say=said.append))
    assert len(said) == 1 and named(said[0]) and "robust deviations" in said[0]
    assert done.state.step == 12 and done.state.rollbacks == 0 and done.state.skipped == []
    assert max(done.history.column("loss")) == done.history.column("loss")[9] > 50
    poison(monkeypatch, math.nan)
    with pytest.raises(InputError, match="loss is nan"):
        train(job(tokens, tmp_path / "nan", "log"))


def test_without_a_bad_batch_nothing_is_said(tokens, tmp_path):
    said = []
    done = train(job(tokens, tmp_path / "work", "stop"), Hooks(say=said.append))
    assert said == [] and done.state.step == 12
