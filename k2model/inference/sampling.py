"""Sampling a token per row, each row with its own settings and stream of random numbers.

The order is vLLM's (`vllm.v1.sample.sampler`): logits, forbidden tokens, bias, penalties, temperature, min-p, top-k,
top-p. A row is sampled from its own logits and settings alone, whatever the other rows of the batch ask for.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from k2model.errors import ConfigError

GREEDY_BELOW = 1e-5  # as in vLLM; far below it the division overflows float32


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


def forbid(logits_V: Tensor, allowed_V: Tensor) -> None:
    """Makes the logits of all tokens −inf but of the allowed, in place.

    Args:
        allowed_V: boolean, on the CPU.

    Raises:
        ConfigError: no token is allowed.
    """
    if not allowed_V.numpy().any():  # torch's takes as long as the rest
        raise ConfigError("request: its constraint allows no token")
    if logits_V.device.type == "cpu":
        np.putmask(logits_V.numpy(), ~allowed_V.numpy(), -np.inf)  # twice as fast as masked_fill_
    else:
        logits_V.masked_fill_(~allowed_V.to(logits_V.device), float("-inf"))


def bias_logits(logits_V: Tensor, bias: Mapping[int, float]) -> None:
    """Adds to the logits of single tokens, in place."""
    logits_V[list(bias)] += torch.tensor(list(bias.values()), dtype=logits_V.dtype, device=logits_V.device)


def penalize(logits_V: Tensor, counts: Mapping[int, int], frequency: float, presence: float) -> None:
    """Lowers the logits of tokens that were generated `counts` times, in place: frequency · count + presence."""
    ids = list(counts)
    counts_N = torch.tensor(list(counts.values()), dtype=logits_V.dtype, device=logits_V.device)
    logits_V[ids] = logits_V[ids] - frequency * counts_N - presence


def tempered(logits_BV: Tensor, temperature: Sequence[float]) -> Tensor:
    """log softmax(logits / temperature) of each row, at temperature 1 where the row is greedy."""
    scale = [1.0 if t < GREEDY_BELOW else t for t in temperature]
    return torch.log_softmax(logits_BV / torch.tensor(scale, device=logits_BV.device)[:, None], dim=-1)


def choose(
    logp_BV: Tensor,
    *,
    temperature: Sequence[float],
    top_p: Sequence[float],
    seed: Sequence[int],
    step: Sequence[int],
    top_k: Sequence[int] | None = None,
    min_p: Sequence[float] | None = None,
) -> Tensor:
    """A token of each row's distribution, int64 [B].

    Args:
        logp_BV: what `tempered` gave.
        temperature: below `GREEDY_BELOW` the most likely token is taken.
        top_p: the smallest set of tokens with at least this mass, of what min-p and top-k left, is kept.
        seed, step: name the random number of the row.
        top_k: so many of the most likely tokens are kept; 0 keeps all.
        min_p: tokens at least this fraction as likely as the most likely one are kept.
    """
    greedy = [t < GREEDY_BELOW for t in temperature]
    if all(greedy):
        return logp_BV.argmax(-1)
    rows = len(logp_BV)
    cuts = list(zip(top_p, top_k or [0] * rows, min_p or [0.0] * rows, strict=True))
    u_B = torch.from_numpy(uniforms(seed, step)).to(logp_BV.device)
    p_BV = logp_BV.double().exp()
    cut = [row for row, (p, k, least) in enumerate(cuts) if (p < 1 or k or least) and not greedy[row]]
    token_B = _invert(p_BV, u_B)
    if cut:
        token_B[cut] = _draw_cut(p_BV[cut], u_B[cut], [cuts[row] for row in cut])
    if any(greedy):
        token_B = torch.where(torch.tensor(greedy, device=token_B.device), logp_BV.argmax(-1), token_B)
    return token_B


def sample(
    logits_BV: Tensor, *, temperature: Sequence[float], top_p: Sequence[float], seed: Sequence[int], step: Sequence[int]
) -> tuple[list[int], list[float]]:
    """(token, log-probability) of each row, by `choose`.

    The log-probability is of softmax(logits / temperature) before top-p, at temperature 1 for greedy rows.

    Args:
        logits_BV: float32; −inf forbids a token.
    """
    logp_BV = tempered(logits_BV, temperature)
    token_B = choose(logp_BV, temperature=temperature, top_p=top_p, seed=seed, step=step)
    return token_B.tolist(), logp_BV.gather(1, token_B[:, None]).squeeze(1).tolist()


def _draw_cut(p_BV: Tensor, u_B: Tensor, cuts: Sequence[tuple[float, int, float]]) -> Tensor:
    """Inverse of what (top-p, top-k, min-p) leave of the distribution, in order of falling probability."""
    cut_BN = torch.tensor(cuts, dtype=torch.float64, device=p_BV.device)
    top_p, top_k, min_p = cut_BN.split(1, dim=1)
    sorted_BV, order_BV = p_BV.sort(dim=-1, descending=True, stable=True)
    rank_V = torch.arange(p_BV.shape[1], device=p_BV.device)
    dropped_BV = (sorted_BV < min_p * sorted_BV[:, :1]) | ((top_k > 0) & (rank_V >= top_k))
    left_BV = sorted_BV.masked_fill(dropped_BV, 0.0)
    limit_B1 = torch.where(dropped_BV.any(-1, keepdim=True), left_BV.sum(-1, keepdim=True), 1.0) * top_p
    # At top-p 1 rounding must not drop the last of them.
    beyond_BV = (left_BV.cumsum(-1) - left_BV >= limit_B1) & (top_p < 1)
    return order_BV.gather(1, _invert(left_BV.masked_fill(beyond_BV, 0.0), u_B)[:, None]).squeeze(1)


def _invert(p_BV: Tensor, u_B: Tensor) -> Tensor:
    cumulative_BV = p_BV.cumsum(-1)
    target_B1 = (u_B * cumulative_BV[:, -1])[:, None]
    index_B = torch.searchsorted(cumulative_BV, target_B1, right=True).squeeze(1)
    last_B = p_BV.shape[1] - 1 - (p_BV > 0).flip(-1).int().argmax(-1)
    return torch.minimum(index_B, last_B)
