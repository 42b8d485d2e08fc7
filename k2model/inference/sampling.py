"""Sampling a token per row, each row with its own temperature, top-p and stream of random numbers."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def uniforms(seed: Sequence[int], step: Sequence[int]) -> np.ndarray:
    """Numbers in [0, 1), one per row, that depend on (seed, step) only (splitmix64 of their mix)."""
    with np.errstate(over="ignore"):
        z = np.asarray([s & 0xFFFFFFFFFFFFFFFF for s in seed], dtype=np.uint64)
        for value in (np.uint64(0x9E3779B97F4A7C15), np.asarray(step, dtype=np.uint64)):
            z = z + value * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53


def sample(
    logits_BV: Tensor, *, temperature: Sequence[float], top_p: Sequence[float], seed: Sequence[int], step: Sequence[int]
) -> tuple[list[int], list[float]]:
    """(token, log-probability) of each row.

    The log-probability is of softmax(logits / temperature) before top-p, at temperature 1 for greedy rows.

    Args:
        logits_BV: float32; −inf forbids a token.
        temperature: 0 takes the most likely token.
        top_p: the smallest set of tokens with at least this mass is kept.
        seed, step: name the random number of the row.
    """
    greedy = [t == 0 for t in temperature]
    scale_B = torch.tensor([1.0 if g else t for g, t in zip(greedy, temperature, strict=True)], device=logits_BV.device)
    logp_BV = torch.log_softmax(logits_BV / scale_B[:, None], dim=-1)
    if all(greedy):
        token_B = logp_BV.argmax(-1)
    else:
        u_B = torch.from_numpy(uniforms(seed, step)).to(logits_BV.device)
        token_B = _draw(logp_BV, u_B, top_p)
        if any(greedy):
            token_B = torch.where(torch.tensor(greedy, device=token_B.device), logp_BV.argmax(-1), token_B)
    return token_B.tolist(), logp_BV.gather(1, token_B[:, None]).squeeze(1).tolist()


def _draw(logp_BV: Tensor, u_B: Tensor, top_p: Sequence[float]) -> Tensor:
    """Inverse of the cumulative distribution, in order of falling probability where top-p cuts."""
    p_BV = logp_BV.double().exp()
    if all(value >= 1 for value in top_p):
        return _invert(p_BV, u_B)
    sorted_BV, order_BV = p_BV.sort(dim=-1, descending=True, stable=True)
    before_BV = sorted_BV.cumsum(-1) - sorted_BV
    limit_B1 = torch.tensor(top_p, device=p_BV.device, dtype=p_BV.dtype)[:, None]
    kept_BV = sorted_BV.masked_fill(before_BV >= limit_B1, 0.0)
    return order_BV.gather(1, _invert(kept_BV, u_B)[:, None]).squeeze(1)


def _invert(p_BV: Tensor, u_B: Tensor) -> Tensor:
    cumulative_BV = p_BV.cumsum(-1)
    target_B1 = (u_B * cumulative_BV[:, -1])[:, None]
    index_B = torch.searchsorted(cumulative_BV, target_B1, right=True).squeeze(1)
    last_B = p_BV.shape[1] - 1 - (p_BV > 0).flip(-1).int().argmax(-1)
    return torch.minimum(index_B, last_B)
