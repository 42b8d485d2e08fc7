"""QAT: the same text in both arms, a killed arm ends in the same bits, what is exported is what was trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from gym.tasksets.sides import side_of
from k2model.config import K2Config
from k2model.formats.checkpoint import load_checkpoint, save_checkpoint
from k2model.formats.int4_checkpoint import save_int4_checkpoint
from k2model.formats.quant import set_fake_quant
from k2model.model import K2Model
from k2model.training.token_shards import ShardWriter, TokenStream
from kernels.processor import VARIABLE, fast_dtype
from stages.measure.text_loss import TextLoss
from stages.posttraining.packing import Example, Packed
from stages.qat.measure import Measured, difference, held_tasks, summary
from stages.qat.params import QatParams
from stages.qat.training import MicroBatches, QatArm, learning_rate, train
from tests.stages.optimizers import ONE_PROCESS, muonclip

torch.set_num_threads(1)
VALUES: dict[str, Any] = {
    "steps": 4,
    "sequence_length": 32,
    "global_batch_tokens": 128,
    "micro_batch_tokens": 64,
    "chat_micro_batches": 1,
    **ONE_PROCESS,
    "demonstrations": 4,
    "compute": "bfloat16",
    "zero": 3,
    "lr": 0.01,
    "warmup_steps": 1,
    "optimizer": muonclip(0.1),
    "checkpoint_every": 2,
    "eval_documents": 2,
    "eval_facts": 1,
    "eval_tasks": 1,
    "shots": 0,
    "answer_tokens": 2,
    "batch_size": 2,
}
P = QatParams(**VALUES)


@pytest.fixture
def data(tmp_path: Path) -> MicroBatches:
    writer = ShardWriter(tmp_path / "tokens", vocab_size=256, bos=1, shard_tokens=4096)
    rng = np.random.default_rng(0)
    for _ in range(30):
        writer.add("train", [1, *rng.integers(2, 256, size=60).tolist()])
    writer.close()
    examples = [Example(rng.integers(2, 256, size=20).tolist(), [False] * 10 + [True] * 10) for _ in range(6)]
    return MicroBatches(P, TokenStream(tmp_path / "tokens", "train", 3), examples, 5, 0)


@pytest.fixture
def start(tmp_path: Path) -> Path:
    model = K2Model(K2Config.preset("smoke", vocab_size=256, num_hidden_layers=2), seed=1)
    save_checkpoint(model, tmp_path / "start")
    return tmp_path / "start"


class Killed(Exception):
    pass


def _train(arm: QatArm, data: MicroBatches, stop_at: int | None = None) -> K2Model:
    def done(step: int, loss: float) -> None:
        assert np.isfinite(loss)
        if step == stop_at:
            raise Killed

    train(arm, P, data, done, lambda line: None)
    return load_checkpoint(arm.trained, dtype=fast_dtype())


def test_steps_hold_text_and_demonstrations_that_do_not_repeat(data: MicroBatches) -> None:
    first, second = list(data.of(0)), list(data.of(1))
    assert [isinstance(micro, Packed) for micro in first] == [False, True]
    assert not torch.equal(first[0].tokens_BL, second[0].tokens_BL)
    assert not torch.equal(first[1].tokens_BL, second[1].tokens_BL)
    for one, again in zip(first, data.of(0), strict=True):
        assert torch.equal(one.tokens_BL, again.tokens_BL)
        assert one.tokens_BL.shape == (2, 32)


def test_a_killed_arm_ends_in_the_same_bits(data: MicroBatches, start: Path, tmp_path: Path) -> None:
    whole = _train(QatArm("qat", start, tmp_path / "whole", True, frozenset()), data)
    with pytest.raises(Killed):
        _train(QatArm("qat", start, tmp_path / "killed", True, frozenset()), data, stop_at=3)
    resumed = _train(QatArm("qat", start, tmp_path / "killed", True, frozenset()), data)
    for (name, one), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


@pytest.mark.parametrize("fast", [torch.float32, torch.bfloat16])
def test_quantization_takes_part_and_the_export_is_its_forward(
    data: MicroBatches, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: torch.dtype
) -> None:
    monkeypatch.setenv(VARIABLE, str(fast).removeprefix("torch."))
    qat = _train(QatArm("qat", start, tmp_path / "qat", True, frozenset()), data)
    plain = _train(QatArm("bf16", start, tmp_path / "bf16", False, frozenset()), data)
    weights = [model.model.layers[1].mlp.experts.up_proj for model in (qat, plain)]
    assert weights[0].dtype == fast
    assert all(torch.equal(p, p.bfloat16().to(fast)) for p in qat.parameters())
    assert not torch.equal(*weights)
    save_int4_checkpoint(qat, tmp_path / "int4")
    tokens = torch.arange(2, 34)[None]
    set_fake_quant(qat, True)
    with torch.no_grad():
        ours, exported = (m(tokens).logits_BLV for m in (qat, load_checkpoint(tmp_path / "int4", dtype=fast_dtype())))
    assert ours is not None
    assert torch.equal(ours, exported)


def test_the_learning_rate_warms_up_and_ends_at_a_tenth() -> None:
    rates = [learning_rate(P, step) for step in range(P.steps)]
    assert rates[0] == P.lr
    assert rates[-1] == pytest.approx(0.1 * P.lr)
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"micro_batch_tokens": 96},
            r"global_batch_tokens 128 is no multiple of micro_batch_tokens × ranks \(96 × 1\)",
        ),
        ({"sequence_length": 48}, "micro_batch_tokens 64 is no multiple of sequence 48"),
        ({"chat_micro_batches": 3}, "chat_micro_batches 3 exceed the 2 micro-batches of a step"),
        ({"group_size": 64}, "Extra inputs"),
    ],
)
def test_parameters_that_can_not_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        QatParams(**VALUES | change)


def test_differences_are_paired() -> None:
    other = [1.0, 5.0, 9.0, 2.0]
    found = difference("d", [x + 0.1 for x in other], other, seed=0)
    assert found["d"] == pytest.approx(0.1)
    assert found["d_ci_low"] == pytest.approx(0.1)
    assert found["d_ci_high"] == pytest.approx(0.1)


def test_a_summary_has_intervals() -> None:
    text = TextLoss([1.0, 2.0], [0.5, 0.6])
    found = summary("x", Measured([1.0, 2.0, 3.0], text, [True, False], 3, 4), seed=0)
    assert found["loss_x"] == 2.0
    assert found["tasks_x"] == 0.75
    for name in ("loss_x", "facts_x", "tasks_x"):
        assert found[f"{name}_ci_low"] < found[name] < found[f"{name}_ci_high"]


def test_a_held_problem_counts_once_however_often_it_is_drawn() -> None:
    tasks = held_tasks("parity", 60, 3, 0.0)
    questions = {str(task.messages[-1]["content"]) for task in tasks}
    assert 5 < len(tasks) == len(questions) < 60
    assert {side_of(text) for text in questions} == {"held"}
