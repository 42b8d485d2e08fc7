"""A Llama network for batched decoding on a CPU: packed weights, a static cache, shared prompt prefixes.

The few-shot examples of a prompt stand in hundreds of requests. They are read once into a `Prefix`; each row then
attends to the prefix and to its own positions separately, and the two results are merged by their log-sum-exp
(Juravsky et al. 2024, Hydragen, §3.1), so a step reads the prefix once and not once per row.

Axes: L layers, N rows, Q new positions, T cached own positions, P prefix positions, C hidden width, H key/value
heads, G query heads per key/value head, D head width.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from k2model.formats.dense import DenseConfig, DenseWeights

NEVER = float("-inf")
BLOCK = 32  # queries and positions are padded to whole blocks of the attention kernel


@dataclass(frozen=True)
class Prefix:
    """Keys and values of the first P positions of many rows, [L, H, P, D]."""

    k: Tensor
    v: Tensor

    @property
    def length(self) -> int:
        return self.k.shape[2]


Linear = Callable[[Tensor], Tensor]


def _linear(weight: Tensor, rows: int) -> Linear:
    """x → x·weightᵀ with a weight that is reordered once, for which F.linear would pay at every call.

    oneDNN also sums a row in the same order whatever the number of rows, so an answer doesn't hang on its neighbours.
    It refuses bfloat16 on processors without AVX-512.
    """
    able = weight.dtype != torch.bfloat16 or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if torch.backends.mkldnn.is_available() and able:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows)
        return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
    return lambda x: F.linear(x, weight)


class Llama:
    """The network with its cache for `rows` rows of `length` own positions each.

    Args:
        rows: the most rows that decode together; packed weights are laid out for it.
        length: the most own positions of a row.
    """

    def __init__(self, config: DenseConfig, weights: DenseWeights, *, rows: int, length: int) -> None:
        c = config
        self.config = config
        self.embed, self.final_norm = weights.embed, weights.final_norm
        self.attn_norm, self.ffn_norm = weights.attn_norm, weights.ffn_norm
        self.qkv, self.out, self.gate_up, self.down = (
            [_linear(w, rows) for w in ws] for ws in (weights.qkv, weights.out, weights.gate_up, weights.down)
        )
        self.head = _linear(weights.head, rows)
        self.reserve(rows, length)
        inverse = c.rope_base ** -(torch.arange(0, c.head_dim, 2).double() / c.head_dim)
        angle = torch.outer(torch.arange(c.context).double(), inverse)
        self.cos = torch.cat((angle.cos(), angle.cos()), -1).to(weights.embed.dtype)
        self.sin = torch.cat((-angle.sin(), angle.sin()), -1).to(weights.embed.dtype)

    def reserve(self, rows: int, length: int) -> None:
        """An empty cache for `rows` rows of `length` own positions."""
        c = self.config
        self.rows, self.length = rows, length
        shape = (c.layers, rows, c.kv_heads, length, c.head_dim)
        self.k_LNHTD = torch.zeros(shape, dtype=self.embed.dtype)
        self.v_LNHTD = torch.zeros(shape, dtype=self.embed.dtype)

    def twin(self) -> "Llama":
        """The same weights with a cache of its own, for another thread."""
        other = copy.copy(self)
        other.reserve(self.rows, self.length)
        return other

    @torch.no_grad()
    def read_prefix(self, tokens: list[int]) -> Prefix:
        """Keys and values of a prompt's beginning."""
        c = self.config
        k_LHPD = torch.empty(c.layers, c.kv_heads, len(tokens), c.head_dim, dtype=self.embed.dtype)
        v_LHPD = torch.empty_like(k_LHPD)

        def keep(layer: int, k_NHQD: Tensor, v_NHQD: Tensor) -> None:
            k_LHPD[layer], v_LHPD[layer] = k_NHQD[0], v_NHQD[0]

        self._read(torch.tensor([tokens]), torch.tensor([len(tokens) - 1]), None, keep)
        return Prefix(k_LHPD, v_LHPD)

    @torch.no_grad()
    def read(self, tokens_NQ: Tensor, last_N: Tensor, slots: list[list[int]], prefix: Prefix | None) -> Tensor:
        """Reads the own part of N prompts and returns the logits after each, float32 [N, vocabulary].

        Args:
            tokens_NQ: right-padded ids.
            last_N: the place of each row's last token.
            slots: for each row the slots that get its cache: requests with one prompt share the reading.
        """
        source = torch.tensor([row for row, row_slots in enumerate(slots) for _ in row_slots])
        target = torch.tensor([slot for row_slots in slots for slot in row_slots])
        n_new = tokens_NQ.shape[1]

        def keep(layer: int, k_NHQD: Tensor, v_NHQD: Tensor) -> None:
            self.k_LNHTD[layer][target, :, :n_new] = k_NHQD[source]
            self.v_LNHTD[layer][target, :, :n_new] = v_NHQD[source]

        return self.head(self._read(tokens_NQ, last_N, prefix, keep)).float()

    def _read(
        self, tokens_NQ: Tensor, last_N: Tensor, prefix: Prefix | None, keep: Callable[[int, Tensor, Tensor], None]
    ) -> Tensor:
        """The normed state after each row's last token, [N, C]. Padding takes part in attention alone."""
        start = prefix.length if prefix else 0
        n_new = tokens_NQ.shape[1]
        place_T = (torch.arange(n_new) <= last_N[:, None]).flatten().nonzero().squeeze(1)
        cos_QD, sin_QD = self.cos[start : start + n_new], self.sin[start : start + n_new]
        groups = self.config.heads // self.config.kv_heads
        x_TC = self.embed[tokens_NQ.flatten()[place_T]]
        for layer in range(self.config.layers):
            own_TY = self.qkv[layer](_norm(x_TC, self.attn_norm[layer], self.config.eps))
            packed = own_TY.new_zeros(tokens_NQ.numel(), own_TY.shape[-1]).index_copy_(0, place_T, own_TY)
            q_NHGQD, k_NHQD, v_NHQD = self._heads(packed.unflatten(0, tokens_NQ.shape), cos_QD, sin_QD)
            keep(layer, k_NHQD, v_NHQD)
            wide_k, wide_v = (t.repeat_interleave(groups, dim=1) for t in (k_NHQD, v_NHQD))
            own, own_lse = _attend(q_NHGQD.flatten(1, 2), wide_k, wide_v, causal=True)
            own, own_lse = own.view_as(q_NHGQD), own_lse.view(q_NHGQD.shape[:-1])
            attended_NQC = _beside(self._merge(layer, q_NHGQD, own, own_lse, prefix))
            x_TC = self._finish(layer, x_TC, attended_NQC.flatten(0, 1)[place_T])
        end_N = (last_N + 1).cumsum(0) - 1
        return _norm(x_TC[end_N], self.final_norm, self.config.eps)

    @torch.no_grad()
    def decode(self, tokens_N: Tensor, lengths_N: Tensor, prefix: Prefix | None) -> Tensor:
        """Logits after one more token in the first N slots, float32 [N, vocabulary].

        Args:
            tokens_N: the new token of each slot.
            lengths_N: own positions that each slot's cache holds before this token.
        """
        n = len(tokens_N)
        stop = int(lengths_N.max()) + 1
        stop = min(self.length, -(-stop // BLOCK) * BLOCK)
        rows_N = torch.arange(n)
        position_N = lengths_N + (prefix.length if prefix else 0)
        cos_N1D, sin_N1D = self.cos[position_N][:, None], self.sin[position_N][:, None]
        unseen_NT = torch.arange(stop) > lengths_N[:, None]
        mask_N11T = torch.zeros(n, 1, 1, stop, dtype=self.embed.dtype)
        mask_N11T.masked_fill_(unseen_NT[:, None, None], NEVER)
        x_N1C = self.embed[tokens_N][:, None]
        for layer in range(self.config.layers):
            packed = self.qkv[layer](_norm(x_N1C, self.attn_norm[layer], self.config.eps))
            q_NHG1D, k_NH1D, v_NH1D = self._heads(packed, cos_N1D[:, None], sin_N1D[:, None])
            k_NHTD, v_NHTD = self.k_LNHTD[layer], self.v_LNHTD[layer]
            k_NHTD[rows_N, :, lengths_N] = k_NH1D[:, :, 0]
            v_NHTD[rows_N, :, lengths_N] = v_NH1D[:, :, 0]
            own, own_lse = _attend(q_NHG1D.squeeze(3), k_NHTD[:n, :, :stop], v_NHTD[:n, :, :stop], mask=mask_N11T)
            own, own_lse = own[:, :, :, None], own_lse[..., None]
            x_N1C = self._finish(layer, x_N1C, _beside(self._merge(layer, q_NHG1D, own, own_lse, prefix)))
        return self.head(_norm(x_N1C[:, 0], self.final_norm, self.config.eps)).float()

    def move(self, source: int, target: int, length: int) -> None:
        """Copies the cache of one slot over another."""
        for cache in (self.k_LNHTD, self.v_LNHTD):
            cache[:, target, :, :length] = cache[:, source, :, :length]

    def _heads(self, packed: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q [N, H, G, Q, D], k and v [N, H, Q, D], rotated (half-split pairs), from the three side by side."""
        c = self.config
        heads_NYQD = packed.unflatten(-1, (-1, c.head_dim)).transpose(1, 2)
        turned = heads_NYQD[:, : c.heads + c.kv_heads]
        turned = turned * cos + torch.roll(turned, c.head_dim // 2, dims=-1) * sin
        q, k = turned.split([c.heads, c.kv_heads], dim=1)
        return q.unflatten(1, (c.kv_heads, -1)), k, heads_NYQD[:, c.heads + c.kv_heads :]

    def _merge(self, layer: int, q_NHGQD: Tensor, own: Tensor, own_lse: Tensor, prefix: Prefix | None) -> Tensor:
        """Attention over prefix and own positions together, from the own part and its log-sum-exp."""
        if prefix is None:
            return own
        rows, heads, groups, n_new, width = q_NHGQD.shape
        q_1HYD = q_NHGQD.permute(1, 0, 2, 3, 4).reshape(1, heads, -1, width)
        n_queries = q_1HYD.shape[2]
        # the kernel sums a last block of few queries in another order: a row's answer would hang on its neighbours
        q_1HYD = F.pad(q_1HYD, (0, 0, 0, -n_queries % BLOCK))
        shared, shared_lse = _attend(q_1HYD, prefix.k[layer][None], prefix.v[layer][None])
        shared, shared_lse = shared[:, :, :n_queries], shared_lse[:, :, :n_queries]
        shared = shared.reshape(heads, rows, groups, n_new, width).transpose(0, 1)
        shared_lse = shared_lse.reshape(heads, rows, groups, n_new).transpose(0, 1)
        weight = torch.sigmoid(own_lse - shared_lse)[..., None].to(own.dtype)
        return torch.lerp(shared, own, weight)

    def _finish(self, layer: int, x: Tensor, attended: Tensor) -> Tensor:
        """A layer's output from its input and its heads' answers, both [..., C]."""
        x = x + self.out[layer](attended)
        gate, up = self.gate_up[layer](_norm(x, self.ffn_norm[layer], self.config.eps)).chunk(2, dim=-1)
        return x + self.down[layer](F.silu(gate) * up)


def _beside(attended_NHGQD: Tensor) -> Tensor:
    """The heads side by side, [N, Q, H·G·D]."""
    return attended_NHGQD.flatten(1, 2).transpose(1, 2).flatten(2)


def _attend(
    q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None, causal: bool = False
) -> tuple[Tensor, Tensor]:
    """softmax(q·kᵀ/√D)·v and the log-sum-exp of its rows, which F.scaled_dot_product_attention keeps to itself."""
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, causal, attn_mask=mask)
    return out, lse


def _norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), weight, eps)
