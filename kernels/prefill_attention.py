"""Causal attention of a chunk of new positions against what is cached before them and against each other. No gradient.

On a CPU it is computed in tiles whose scores stay in the cache of the processor, and only up to the last position that
a tile of queries sees; elsewhere it is one batched product.

Axes: B rows, Q new positions, T cached positions (the new ones among them), H heads, D width of a query or key, V width
of a value.
"""

import torch
from torch import Tensor

CHUNK = 256  # queries of a tile
TILE = 2**19  # scores of a tile, 2 MB


def prefill_attention_reference(
    q_BQHD: Tensor, k_BTHD: Tensor, v_BTHV: Tensor, scale: float, start_B: Tensor
) -> Tensor:
    """`prefill_attention` as one batched product."""
    new, seen = q_BQHD.shape[1], k_BTHD.shape[1]
    position_BQ = start_B[:, None] + torch.arange(new, device=q_BQHD.device)
    unseen_BQT = torch.arange(seen, device=q_BQHD.device) > position_BQ[..., None]
    logits_BHQT = (q_BQHD.transpose(1, 2) @ k_BTHD.permute(0, 2, 3, 1)).float() * scale
    p_BHQT = logits_BHQT.masked_fill_(unseen_BQT[:, None], float("-inf")).softmax(-1).to(v_BTHV.dtype)
    return (p_BHQT @ v_BTHV.transpose(1, 2)).transpose(1, 2)


def prefill_attention(q_BQHD: Tensor, k_BTHD: Tensor, v_BTHV: Tensor, scale: float, start_B: Tensor) -> Tensor:
    """What each new position sees of those up to itself, [B, Q, H, V].

    Args:
        scale: of the logits; the softmax is in float32.
        start_B: where a row's first new position stands among the cached ones, int64. What a position beyond the last
            cached one gives has no meaning.
    """
    if q_BQHD.device.type != "cpu":
        return prefill_attention_reference(q_BQHD, k_BTHD, v_BTHV, scale, start_B)
    rows, new, heads, _ = q_BQHD.shape
    out_BQHV = v_BTHV.new_empty(rows, new, heads, v_BTHV.shape[-1])
    for row, start in enumerate(start_B.tolist()):
        for first in range(0, new, CHUNK):
            stop = min(first + CHUNK, new)
            end = min(start + stop, k_BTHD.shape[1])
            size = max(1, TILE // ((stop - first) * end))
            for head in range(0, heads, size):
                at = slice(head, head + size)
                q_HQD = q_BQHD[row, first:stop, at].transpose(0, 1) * scale
                logits_HQT = (q_HQD @ k_BTHD[row, :end, at].permute(1, 2, 0)).float()
                corner_HQX = logits_HQT[..., start + first :]
                unseen_QX = torch.ones(corner_HQX.shape[1:], dtype=torch.bool).triu_(1)
                corner_HQX.masked_fill_(unseen_QX, float("-inf"))
                p_HQT = logits_HQT.softmax(-1).to(v_BTHV.dtype)
                out_BQHV[row, first:stop, at] = (p_HQT @ v_BTHV[row, :end, at].transpose(0, 1)).transpose(0, 1)
    return out_BQHV
