"""QK-Clip: what is scaled by what, and the heads that must keep their bits."""

import math

import pytest
import torch

from k2model.config import K2Config
from k2model.model import K2Model
from k2model.training.qk_clip import MaxLogit, clip_factors, row_factors

CONFIG = K2Config.preset("smoke", num_attention_heads=3, num_key_value_heads=3)
HEADS, NOPE, ROPE, VALUE = 3, CONFIG.qk_nope_head_dim, CONFIG.qk_rope_head_dim, CONFIG.v_head_dim


def test_one_head_is_scaled_and_the_others_have_exactly_one():
    gamma_H = clip_factors(torch.tensor([50.0, 400.0, 100.0]), 100.0)
    query, key = row_factors(gamma_H, CONFIG)
    query_HD, key_HD = query.view(HEADS, NOPE + ROPE), key.view(HEADS, NOPE + VALUE)
    assert torch.equal(query_HD[[0, 2]], torch.ones(2, NOPE + ROPE))
    assert torch.equal(key_HD[[0, 2]], torch.ones(2, NOPE + VALUE))
    torch.testing.assert_close(query_HD[1, :NOPE], torch.full((NOPE,), math.sqrt(0.25)))
    torch.testing.assert_close(query_HD[1, NOPE:], torch.full((ROPE,), 0.25))
    torch.testing.assert_close(key_HD[1, :NOPE], torch.full((NOPE,), math.sqrt(0.25)))
    assert torch.equal(key_HD[1, NOPE:], torch.ones(VALUE))  # values


@pytest.mark.parametrize("value", [0.0, -3.0, -math.inf, math.inf, math.nan, 100.0])
def test_edge_maxima_change_nothing(value):
    assert torch.equal(clip_factors(torch.full((2, HEADS), value), 100.0), torch.ones(2, HEADS))


def test_an_infinite_head_does_not_harm_its_neighbour():
    gamma_H = clip_factors(torch.tensor([math.inf, 200.0, math.nan]), 100.0)
    assert gamma_H.tolist() == [1.0, 0.5, 1.0]


def test_the_maximum_is_over_micro_batches():
    logits = MaxLogit(1, 2)
    logits.update(torch.tensor([[1.0, 9.0]]))
    logits.update(torch.tensor([[5.0, 2.0]]))
    assert logits.reduce().tolist() == [[5.0, 9.0]]
    assert logits.reduce().tolist() == [[-math.inf, -math.inf]]


def test_a_threshold_that_is_none():
    with pytest.raises(ValueError, match="above 0"):
        clip_factors(torch.zeros(HEADS), 0.0)


@pytest.mark.parametrize("rank", [24, None])
def test_a_clipped_network_has_its_largest_logit_at_tau(rank):
    config = K2Config.preset("smoke", q_lora_rank=rank)
    model = K2Model(config, seed=0)
    tokens_BL = torch.arange(64).view(2, 32)
    before_H = model(tokens_BL).max_logit_LH[0]
    tau = float(before_H.median())
    attention = model.model.layers[0].self_attn
    query, key = row_factors(clip_factors(before_H, tau), config)
    with torch.no_grad():
        attention.get_submodule(config.query_projection).weight *= query[:, None]
        attention.kv_b_proj.weight *= key[:, None]
    after_H = model(tokens_BL).max_logit_LH[0]
    assert (before_H > tau).any()
    torch.testing.assert_close(after_H, before_H.clamp(max=tau), rtol=1e-4, atol=0)
