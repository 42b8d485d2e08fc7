"""Multi-head latent attention of one new position per row, in the space of the compressed cache.

The key and value up-projections move to the query and the output (the absorbed form, DeepSeek-V2 §2.1.2), so the
cache is read as it is. On a CPU one C++ call norms, rotates, writes the cache and attends; the plain torch form is
beside it.

Axes: B rows, S slots of the cache, T positions, H heads, N nope width, R rope width, P rotary pairs (R/2), D = N + R,
K latent width, X = K + R, V value width, Y = N + V.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.decode import FLOATS, OUTPUTS, rms_norm_reference
from kernels.int4 import native


@dataclass(frozen=True)
class LatentWeights:
    """What a layer's cache is made with and read through.

    norm_K: gain of the latent's RMSNorm, with its `eps`. kv_b_HYK: per head rows [key nope | value]. scale: of the
    softmax.
    """

    norm_K: Tensor
    eps: float
    kv_b_HYK: Tensor
    nope: int
    scale: float


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotates the last axis of `x` in interleaved pairs (2i, 2i+1).

    Args:
        x: [..., 2P].
        cos, sin: [..., P], broadcast against the pairs of `x`, in float32.
    """
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2).to(x.dtype)


def decode_attention_reference(
    q_BHD: Tensor,
    kv_BX: Tensor,
    weights: LatentWeights,
    cos_BP: Tensor,
    sin_BP: Tensor,
    cache_STX: Tensor,
    slot_B: Tensor,
    position_B: Tensor,
) -> Tensor:
    """`decode_attention` in plain torch."""
    latent, w = weights.kv_b_HYK.shape[-1], weights
    latent_BK, key_BR = kv_BX.split([latent, kv_BX.shape[1] - latent], dim=-1)
    new_BX = torch.cat((rms_norm_reference(latent_BK, w.norm_K, w.eps), apply_rope(key_BR, cos_BP, sin_BP)), dim=-1)
    cache_STX[slot_B, position_B] = new_BX.to(cache_STX.dtype)
    stop = int(position_B.max()) + 1
    cached_BTX = cache_STX[slot_B, :stop]
    unseen_B1T = (torch.arange(stop, device=position_B.device) > position_B[:, None])[:, None]
    q_nope_BHN, q_rope_BHR = q_BHD.split([w.nope, q_BHD.shape[-1] - w.nope], dim=-1)
    k_HNK, v_HVK = w.kv_b_HYK.split([w.nope, w.kv_b_HYK.shape[1] - w.nope], dim=1)
    q_HBK = torch.bmm(q_nope_BHN.transpose(0, 1), k_HNK)
    q_BHX = torch.cat((q_HBK.transpose(0, 1), apply_rope(q_rope_BHR, cos_BP[:, None], sin_BP[:, None])), dim=-1)
    logits_BHT = torch.bmm(q_BHX, cached_BTX.transpose(1, 2)).float() * w.scale
    p_BHT = logits_BHT.masked_fill_(unseen_B1T, float("-inf")).softmax(-1).to(cached_BTX.dtype)
    context_BHK = torch.bmm(p_BHT, cached_BTX[..., :latent])
    return torch.bmm(context_BHK.transpose(0, 1), v_HVK.transpose(1, 2)).transpose(0, 1)


def decode_attention(
    q_BHD: Tensor,
    kv_BX: Tensor,
    weights: LatentWeights,
    cos_BP: Tensor,
    sin_BP: Tensor,
    cache_STX: Tensor,
    slot_B: Tensor,
    position_B: Tensor,
) -> Tensor:
    """Writes each row's new token into the cache and attends from it to positions 0 .. position: [B, H, V].

    No gradient. The C++ form sums in float32 throughout; torch's rounds between products.

    Args:
        q_BHD: queries [nope | rope], not yet rotated.
        kv_BX: compressed key and value [latent | rope], neither normed nor rotated.
        cos_BP, sin_BP: float32, of the rows' positions.
        slot_B: the cache row of each row, all different.
        position_B: where the new token stands; both int64.

    Raises:
        ValueError: widths that don't fit, a row outside the cache.
    """
    heads, rows_Y, latent = weights.kv_b_HYK.shape
    rope = q_BHD.shape[-1] - weights.nope
    widths = {kv_BX.shape[1], cache_STX.shape[2], latent + rope, latent + 2 * cos_BP.shape[1]}
    if q_BHD.shape[1] != heads or len(widths) != 1:
        shapes = (tuple(q_BHD.shape), tuple(kv_BX.shape), tuple(weights.kv_b_HYK.shape), tuple(cache_STX.shape))
        raise ValueError("decode_attention: queries {}, keys {}, kv_b {} and cache {} don't fit".format(*shapes))
    types = {x.dtype for x in (q_BHD, kv_BX, weights.norm_K, weights.kv_b_HYK, cache_STX)}
    usable = cache_STX.device.type == "cpu" and cache_STX.is_contiguous() and types <= FLOATS and len(types) == 1
    usable = usable and rows_Y - weights.nope >= OUTPUTS
    library, isa = native.library(), native.isa()
    if library is None or isa == "torch" or not usable:
        return decode_attention_reference(q_BHD, kv_BX, weights, cos_BP, sin_BP, cache_STX, slot_B, position_B)
    q_BHD, kv_BX, kv_b_HYK = q_BHD.contiguous(), kv_BX.contiguous(), weights.kv_b_HYK.contiguous()
    norm_K, cos_BP, sin_BP = weights.norm_K.contiguous(), cos_BP.contiguous(), sin_BP.contiguous()
    slot_B, position_B = slot_B.contiguous(), position_B.contiguous()
    out_BHV = q_BHD.new_empty(len(q_BHD), heads, rows_Y - weights.nope)
    seen = int(position_B.max()) if len(position_B) else 0
    outside = library.k2_decode_attention(
        q_BHD.data_ptr(),
        kv_BX.data_ptr(),
        norm_K.data_ptr(),
        kv_b_HYK.data_ptr(),
        cos_BP.data_ptr(),
        sin_BP.data_ptr(),
        cache_STX.data_ptr(),
        slot_B.data_ptr(),
        position_B.data_ptr(),
        out_BHV.data_ptr(),
        len(q_BHD),
        heads,
        weights.nope,
        rope,
        latent,
        rows_Y - weights.nope,
        *cache_STX.shape[:2],
        weights.scale,
        weights.eps,
        cache_STX.dtype == torch.float32,
        native.LEVEL[isa],
        native.threads(len(q_BHD) * heads * latent * (rows_Y + 2 * seen)),
    )
    if outside:
        raise ValueError(f"decode_attention: a slot or position lies outside the cache {tuple(cache_STX.shape)}")
    return out_BHV
