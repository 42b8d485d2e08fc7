"""The loss of each training stage on a GPU, as far as that shows without one: no tensor on the wrong device."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from k2model.config import K2Config
from k2model.formats.quant import set_fake_quant
from k2model.inference.generate import Engine
from k2model.inference.request import Request
from k2model.model import K2Model
from k2model.training.process_group import to_device
from k2model.training.token_shards import TokenBatch
from kernels import attention
from stages.measure.loss import losses
from stages.posttraining.comparison import Comparison
from stages.posttraining.mixture import Mixture, Pool
from stages.posttraining.packing import Example, pack
from stages.pretrain import loop
from stages.qat import training
from stages.rl.pairwise import judge
from stages.rl.params import ObjectiveParams
from stages.rl.rollout import Rollout
from stages.rl.update import Group, update
from stages.sft.batches import train_step
from tests.pretend_cuda import CUDA, PretendCuda, mark_model, marked
from tests.small_data import small_tokenizer

EXAMPLES = [Example(list(range(20, 60)), [k > 10 for k in range(40)]) for _ in range(4)]
TOKENS_BL = torch.arange(64).view(2, 32) + 5
BATCH = TokenBatch(TOKENS_BL, TOKENS_BL.roll(-1, 1), torch.arange(64).view(2, 32) // 10)


class OneGpu:
    """The engine's step without its optimizer: micro-batches are moved, the loss must be where the model is."""

    def __init__(self, recompute: str = "none") -> None:
        self.model = K2Model(K2Config.preset("smoke", vocab_size=320), seed=1)
        self.model.recompute = recompute  # type: ignore[assignment]
        mark_model(self.model)

    def accumulate(self, loss_fn: Any, micro_batches: Any) -> float:
        total = 0.0
        for number in range(len(micro_batches)):
            with PretendCuda():
                loss, output = loss_fn(self.model, to_device(micro_batches[number], CUDA))
                assert marked(loss) and marked(output.max_logit_LH) and marked(output.expert_load_LE)
            total += float(loss.detach())
        return total / len(micro_batches)

    def apply(self, loss: float, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(loss=loss, max_logit=0.0)

    def gather(self, part: Any) -> list[Any]:
        return [part]


@pytest.fixture(autouse=True)
def _no_gpu_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """FlexAttention is compiled for a GPU; its definition stands in for it, on the tensors that it would get."""
    monkeypatch.setattr(attention, "_flex", attention.attention_reference)


@pytest.mark.parametrize("recompute", ["none", "layer", "parts"])
def test_pretraining(recompute: str) -> None:
    assert OneGpu(recompute).accumulate(loop._loss, [BATCH]) > 0


def test_sft() -> None:
    p: Any = SimpleNamespace(rows_per_step=2, micro_rows=1, sequence_length=64, steps=4, warmup_steps=1, lr=1e-3)
    engine: Any = OneGpu()
    assert train_step(engine, Mixture([Pool("trajectory", EXAMPLES, 1.0)], 64, 0), p, 0, 0) > 0


@pytest.mark.parametrize("name", ["k2", "token_clip", "grpo"])
def test_rl(name: Any) -> None:
    def rollout(k: int) -> Rollout:
        return Rollout(f"{k}", "parity", 0, 8, list(range(10, 30)), [False] * 12 + [True] * 8, [0.0] * 12 + [-1.0] * 8)

    groups = [Group([rollout(k) for k in range(3)], [0.0, 1.0, 0.5], 1.0) for _ in range(2)]
    objective = ObjectiveParams(name=name, tau=0.5, alpha=-1.0, beta=1.0, epsilon=0.2, importance_cap=0.0)
    engine: Any = OneGpu()
    report = update(
        engine, groups, objective, micros=2, lr=0.1, pad_id=0, ptx=EXAMPLES[:2], ptx_weight=0.1, critic=EXAMPLES[2:],
        critic_weight=0.1, row_length=64,
    )  # fmt: skip
    assert report.loss == report.loss


def test_qat() -> None:
    engine = OneGpu()
    set_fake_quant(engine.model, True)
    packed = pack([[EXAMPLES[0]], [EXAMPLES[1]]], 64, 0)
    assert engine.accumulate(training._loss, [BATCH, packed]) > 0


def test_what_is_measured_and_sampled_between_steps() -> None:
    model, tokenizer = OneGpu().model.eval(), small_tokenizer(307)
    comparison = Comparison("Which?", "this", "that", "the better one")
    with PretendCuda():
        sampler = Engine(model, max_batch=2, max_length=48, prefill_chunk=8)
        requests = [Request(list(range(5, 5 + n)), 3, temperature=t, seed=1) for n, t in ((20, 0.0), (3, 1.0))]
        assert [len(made.ids) for made in sampler.generate(requests)] == [3, 3]
        assert marked(sampler.cached.cache_LSTX)
        assert len(losses(model, EXAMPLES, rows=2, pad=0)) == len(EXAMPLES)
        assert 0 < judge(model, tokenizer, [comparison])[0] < 1


def test_a_tensor_that_stayed_behind_is_found() -> None:
    def loss_fn(model: Any, batch: TokenBatch) -> Any:
        output = model(batch.tokens_BL, batch.targets_BL)
        weights: Tensor = torch.ones(2, 32)  # not where the model is
        return (output.logp_BL * weights).sum(), output

    with pytest.raises(RuntimeError, match="expected all tensors on cuda:0"):
        OneGpu().accumulate(loss_fn, [BATCH])
