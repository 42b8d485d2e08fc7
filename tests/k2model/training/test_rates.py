"""Which parameters learn, and how fast: frozen ones keep their bits, AdamW under QK-Clip is torch's."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from k2model.config import K2Config
from k2model.errors import ConfigError
from k2model.model import K2Model, Output
from k2model.training.engine import TrainEngine
from k2model.training.options import Layout, OptimizerOptions, Rates
from k2model.training.process_group import load_deepspeed

torch.set_num_threads(1)
CONFIG = K2Config.preset("smoke")
TOKENS_BL = torch.randint(0, CONFIG.vocab_size, (2, 24), generator=torch.Generator().manual_seed(3))


def _loss(model: nn.Module, tokens_BL: Tensor) -> tuple[Tensor, Output]:
    output = model(tokens_BL[:, :-1], tokens_BL[:, 1:])
    return output.loss, output


def _trained(options: OptimizerOptions, steps: int = 1, **kw: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    model = K2Model(CONFIG, seed=1)
    before = {name: param.detach().clone() for name, param in model.named_parameters()}
    engine = TrainEngine(model, options, micro_batches=1, **kw)
    for _ in range(steps):
        engine.apply(engine.accumulate(_loss, [TOKENS_BL]), lr=0.01, bias_rate=0.0)
    params = dict(engine.model.named_parameters())
    with load_deepspeed().zero.GatheredParameters([param for param in params.values() if hasattr(param, "ds_id")]):
        return before, {name: param.detach().float().clone() for name, param in params.items()}


def test_frozen_parts_keep_their_bits_and_the_others_learn_as_alone() -> None:
    before, after = _trained(OptimizerOptions(weight_decay=0.0, rates=Rates(1.0, 0.0, 0.0)))
    _, everything = _trained(OptimizerOptions(weight_decay=0.0))
    for name, value in after.items():
        frozen = ".mlp." in name or "embed_tokens" in name or "lm_head" in name
        assert torch.equal(value, before[name]) == frozen, name
        if not frozen:
            torch.testing.assert_close(value, everything[name], rtol=1e-5, atol=1e-6)


def test_what_lies_below_the_first_layer_is_frozen() -> None:
    before, after = _trained(OptimizerOptions(weight_decay=0.0, tau=1e-6, rates=Rates(first_layer=1)))
    for name, value in after.items():
        below = "embed_tokens" in name or ".layers.0." in name
        assert torch.equal(value, before[name]) == below, name


@pytest.mark.parametrize("matrices", ["muon", "adamw"])
def test_a_rate_scales_the_step(matrices: Any) -> None:
    before, whole = _trained(OptimizerOptions(weight_decay=0.1, matrices=matrices))
    _, tenth = _trained(OptimizerOptions(weight_decay=0.1, matrices=matrices, rates=Rates(feed_forward=0.1)))
    for name, value in whole.items():
        share = 0.1 if ".mlp." in name else 1.0
        torch.testing.assert_close(tenth[name] - before[name], share * (value - before[name]), rtol=1e-3, atol=2e-7)


def test_adamw_for_all_matrices_is_torchs() -> None:
    options = OptimizerOptions(weight_decay=0.1, matrices="adamw", clip_norm=0.5, tau=0.0)
    _, ours = _trained(options, steps=3)
    model = K2Model(CONFIG, seed=1)
    adam = torch.optim.AdamW(model.parameters(), lr=0.01, betas=options.betas, eps=options.eps, weight_decay=0.1)
    for _ in range(3):
        adam.zero_grad()
        _loss(model, TOKENS_BL)[0].backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        adam.step()
    for name, param in model.named_parameters():
        torch.testing.assert_close(ours[name], param.detach(), rtol=1e-4, atol=1e-6)


def test_adamws_masters_are_clipped_with_their_working_copies() -> None:
    # A second step starts from the masters: had the clip missed them, the weights would jump back.
    options = OptimizerOptions(weight_decay=0.0, matrices="adamw", tau=0.02)
    _, exact = _trained(options, steps=2)
    _, rounded = _trained(options, steps=2, layout=Layout("bfloat16", 3))
    for name, value in exact.items():
        if not name.endswith(("q_b_proj.weight", "kv_b_proj.weight")):
            continue  # scores of the routers are so close here that a rounding flips choices
        assert float((rounded[name] - value).norm()) <= 0.2 * float(value.norm()) + 1e-3, name


def test_only_the_named_rows_of_the_vocabulary_learn() -> None:
    rows = [3, 7]
    before, after = _trained(OptimizerOptions(weight_decay=0.0, vocabulary_rows=rows), steps=2)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        changed = (after[name] != before[name]).any(1).nonzero().flatten().tolist()
        assert set(changed) <= set(rows), name
    assert (after["lm_head.weight"] != before["lm_head.weight"]).any()


def test_nothing_left_to_train_is_one_line() -> None:
    with pytest.raises(ConfigError, match="rates: every part has rate 0"):
        _trained(OptimizerOptions(rates=Rates(0.0, 0.0, 0.0)))
