"""QK-Clip: what is scaled by what, and the heads that must keep their bits."""

import math

import pytest
import torch

from k2model.config import K2Config
from k2model.model import K2Model
from k2model.training.qk_clip import AttentionWeights, MaxLogit, clip_factors, qk_clip_

HEADS, NOPE, ROPE, VALUE, RANK = 3, 4, 2, 5, 7


def layer(dtype=torch.float32):
    torch.manual_seed(0)
    q, kv = torch.randn(HEADS * (NOPE + ROPE), RANK), torch.randn(HEADS * (NOPE + VALUE), RANK)
    return AttentionWeights([q, q.to(dtype).clone()], [kv, kv.to(dtype).clone()], HEADS, NOPE, ROPE)


def copies(one):
    return [t.clone() for t in (*one.q_b, *one.kv_b)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_head_is_scaled_and_the_others_keep_their_bits(dtype):
    one = layer(dtype)
    before = copies(one)
    assert qk_clip_([one], torch.tensor([[50.0, 400.0, 100.0]]), 100.0) == 1
    gamma = 100 / 400
    for old, new in zip(before[:2], one.q_b, strict=True):
        old, new = old.view(HEADS, NOPE + ROPE, RANK), new.view(HEADS, NOPE + ROPE, RANK)
        assert torch.equal(old[[0, 2]], new[[0, 2]])
        assert torch.allclose(new[1, :NOPE], (old[1, :NOPE].float() * math.sqrt(gamma)).to(new.dtype))
        assert torch.allclose(new[1, NOPE:], (old[1, NOPE:].float() * gamma).to(new.dtype))
    for old, new in zip(before[2:], one.kv_b, strict=True):
        old, new = old.view(HEADS, NOPE + VALUE, RANK), new.view(HEADS, NOPE + VALUE, RANK)
        assert torch.equal(old[[0, 2]], new[[0, 2]])
        assert torch.equal(old[1, NOPE:], new[1, NOPE:])  # values
        assert torch.allclose(new[1, :NOPE], (old[1, :NOPE].float() * math.sqrt(gamma)).to(new.dtype))


def test_the_logit_of_a_clipped_head_shrinks_by_gamma():
    one = layer()
    x, rope_key = torch.randn(RANK), torch.randn(ROPE)

    def logit():
        q = (one.q_b[0] @ x).view(HEADS, -1)[1]
        k = (one.kv_b[0] @ x).view(HEADS, -1)[1, :NOPE]
        return float(q @ torch.cat([k, rope_key]))

    before = logit()
    qk_clip_([one], torch.tensor([[0.0, 250.0, 0.0]]), 100.0)
    assert logit() == pytest.approx(before * 0.4, rel=1e-5)


@pytest.mark.parametrize("value", [0.0, -3.0, -math.inf, math.inf, math.nan, 100.0])
def test_edge_maxima_change_nothing(value):
    one = layer()
    before = copies(one)
    assert qk_clip_([one], torch.full((1, HEADS), value), 100.0) == 0
    assert all(torch.equal(a, b) for a, b in zip(before, copies(one), strict=True))
    assert torch.equal(clip_factors(torch.full((HEADS,), value), 100.0), torch.ones(HEADS))


def test_an_infinite_head_does_not_harm_its_neighbour():
    one = layer()
    assert qk_clip_([one], torch.tensor([[math.inf, 200.0, math.nan]]), 100.0) == 1
    assert all(torch.isfinite(t).all() for t in copies(one))


def test_the_maximum_is_over_micro_batches():
    logits = MaxLogit(1, 2)
    logits.update(torch.tensor([[1.0, 9.0]]))
    logits.update(torch.tensor([[5.0, 2.0]]))
    assert logits.reduce().tolist() == [[5.0, 9.0]]
    assert logits.reduce().tolist() == [[-math.inf, -math.inf]]


def test_wrong_arguments():
    with pytest.raises(ValueError, match="above 0"):
        qk_clip_([layer()], torch.zeros(1, HEADS), 0.0)
    with pytest.raises(ValueError, match="2"):
        qk_clip_([layer()], torch.zeros(2, HEADS), 1.0)
    with pytest.raises(ValueError, match="heads"):
        qk_clip_([layer()], torch.full((1, HEADS + 1), 9.0), 1.0)


@pytest.mark.parametrize("rank", [24, None])
def test_a_clipped_network_has_its_largest_logit_at_tau(rank):
    config = K2Config.preset("smoke", q_lora_rank=rank)
    model = K2Model(config, seed=0)
    tokens_BL = torch.arange(64).view(2, 32)
    before_H = model(tokens_BL).max_logit_LH[0]
    tau = float(before_H.median())
    attention = model.model.layers[0].self_attn
    query = attention.get_submodule(config.query_projection).weight
    shape = config.num_attention_heads, config.qk_nope_head_dim, config.qk_rope_head_dim
    weights = AttentionWeights([query], [attention.kv_b_proj.weight], *shape)
    assert qk_clip_([weights], before_H[None], tau) == int((before_H > tau).sum()) > 0
    after_H = model(tokens_BL).max_logit_LH[0]
    torch.testing.assert_close(after_H, before_H.clamp(max=tau), rtol=1e-4, atol=0)
