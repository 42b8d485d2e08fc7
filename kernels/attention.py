"""Causal attention that also returns each head's largest logit, exactly, as a by-product of the forward pass.

Axes: B batch, H heads, L positions, D width of a query or key, V width of a value, Q/K positions within a chunk.

SDPA on CPU falls to its unfused path when the widths of keys and values differ, as they do in MLA, and no library
returns the largest logit there. So the queries are taken in chunks: one matmul against the keys up to the end of
the chunk, a softmax in float32, one matmul with the values. The backward pass takes the keys in chunks and recomputes
the probabilities from the saved log-sum-exp.

On a GPU the same function is FlexAttention, whose `AuxRequest(max_scores=True)` gives each row's largest logit, after
scale and mask; on CPU it has neither that nor a backward pass (torch 2.13).
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import AuxOutput, AuxRequest, BlockMask, create_block_mask, flex_attention

CHUNK = 256
TILE = 2**21  # scores of a tile, 8 MB in float32


def _own_and_prefix(segment_ids: Tensor) -> tuple[Tensor, Tensor]:
    """(own_BL, prefix_BL) of [B, L] or [B, L, 2] segment ids."""
    if segment_ids.ndim == 2:
        return segment_ids, segment_ids
    return segment_ids[..., 0], segment_ids[..., 1]


def attention_reference(
    q_BHLD: Tensor, k_BHLD: Tensor, v_BHLV: Tensor, scale: float, segment_ids_BL: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The definition, in the dtype of the inputs: (output [B, H, L, V], largest logit of each head [H])."""
    place_L = torch.arange(q_BHLD.shape[2], device=q_BHLD.device)
    mask_BHLL = (place_L[:, None] >= place_L)[None, None]
    if segment_ids_BL is not None:
        own_BL, prefix_BL = _own_and_prefix(segment_ids_BL)
        key_B11L = own_BL[:, None, None]
        mask_BHLL = mask_BHLL & ((own_BL[:, None, :, None] == key_B11L) | (prefix_BL[:, None, :, None] == key_B11L))
    logits_BHLL = (q_BHLD @ k_BHLD.transpose(-1, -2) * scale).masked_fill(~mask_BHLL, float("-inf"))
    return logits_BHLL.softmax(-1) @ v_BHLV, logits_BHLL.amax(dim=(0, 2, 3))


@dataclass(frozen=True)
class _Tile:
    """Queries first_q..last_q−1 against keys first_k..last_k−1 of some of the G = batch × heads."""

    g: slice
    q: slice
    k: slice
    hidden_1QK: Tensor | None  # with segments: True where a query may not look

    def hide(self, x_GQK: Tensor, value: float) -> Tensor:
        """Writes `value` where a query may not look, in place; without segments that is only on the diagonal."""
        if self.hidden_1QK is not None:
            return x_GQK.masked_fill_(self.hidden_1QK, value)
        first = max(self.q.start, self.k.start)
        rows = slice(first - self.q.start, self.k.stop - self.q.start)
        columns = slice(first - self.k.start, None)
        corner_GXX = x_GQK[:, rows, columns]
        size = corner_GXX.shape[-1]
        corner_GXX.masked_fill_(torch.ones(size, size, dtype=torch.bool, device=x_GQK.device).triu_(1), value)
        return x_GQK


@dataclass(frozen=True)
class _Span:
    """Positions first..end−1 of some of the G = batch × heads, which see nothing outside; ids where not all they see
    each other."""

    g: slice
    first: int
    end: int
    ids: tuple[Tensor, Tensor] | None  # own and prefix, over all positions of this row

    def chunks(self) -> Iterator[slice]:
        for start in range(self.first, self.end, CHUNK):
            yield slice(start, min(start + CHUNK, self.end))

    def tiles(self, q: slice, k: slice) -> Iterator[_Tile]:
        """Tiles of as many heads as keep the float32 scores near the size of a cache.

        With ids a tile is without the keys before the first one that any of its queries sees and the queries after the
        last one that sees any of its keys.
        """
        if self.ids is None:
            yield from (_Tile(g, q, k, None) for g in self._heads(q, k))
            return
        own_L, prefix_L = self.ids
        place_L = torch.arange(len(own_L), device=own_L.device)
        own_Q1, prefix_Q1, key_1K = own_L[q, None], prefix_L[q, None], own_L[None, k]
        hidden_QK = (own_Q1 != key_1K) & (prefix_Q1 != key_1K) | (place_L[q, None] < place_L[k])
        seen_k, seeing_q = (~hidden_QK).any(0).nonzero(), (~hidden_QK).any(1).nonzero()
        first_k, end_q = int(seen_k[0]), int(seeing_q[-1]) + 1  # every position sees itself
        own_q, own_k = slice(q.start, q.start + end_q), slice(k.start + first_k, k.stop)
        for g in self._heads(own_q, own_k):
            yield _Tile(g, own_q, own_k, hidden_QK[None, :end_q, first_k:])

    def _heads(self, q: slice, k: slice) -> Iterator[slice]:
        size = max(1, TILE // ((q.stop - q.start) * (k.stop - k.start)))
        for start in range(self.g.start, self.g.stop, size):
            yield slice(start, min(start + size, self.g.stop))


def _spans(shape: torch.Size, segment_ids_BL: Tensor | None) -> list[_Span]:
    """The whole of it without segments; else every segment where each is one run of positions, so that nothing is
    computed between segments; else the rows of the batch."""
    batch, heads, length = shape[:3]
    if segment_ids_BL is None:
        return [_Span(slice(0, batch * heads), 0, length, None)]
    spans = []
    for b in range(batch):
        g, ids = slice(b * heads, (b + 1) * heads), segment_ids_BL[b]
        if ids.ndim == 1:
            runs, counts = ids.unique_consecutive(return_counts=True)
            if len(runs) == len(runs.unique()):
                ends = counts.cumsum(0).tolist()
                spans += [_Span(g, end - size, end, None) for end, size in zip(ends, counts.tolist(), strict=True)]
                continue
        own_BL, prefix_BL = _own_and_prefix(segment_ids_BL)
        spans.append(_Span(g, 0, length, (own_BL[b], prefix_BL[b])))
    return spans


def _forward_tiles(shape: torch.Size, segment_ids_BL: Tensor | None) -> Iterator[_Tile]:
    """Chunks of queries against all keys that they see."""
    for span in _spans(shape, segment_ids_BL):
        for q in span.chunks():
            yield from span.tiles(q, slice(span.first, q.stop))


def _backward_tiles(shape: torch.Size, segment_ids_BL: Tensor | None) -> Iterator[_Tile]:
    """Chunks of keys against all queries that see them: dk and dv are each one product, only dq is summed up."""
    for span in _spans(shape, segment_ids_BL):
        for k in span.chunks():
            yield from span.tiles(slice(k.start, span.end), k)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx,
        q_BHLD: Tensor,
        k_BHLD: Tensor,
        v_BHLV: Tensor,
        scale: float,
        segment_ids_BL: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        batch, heads, length, _ = q_BHLD.shape
        q_GLD, k_GLD, v_GLV = (x.flatten(0, 1).contiguous() for x in (q_BHLD, k_BHLD, v_BHLV))
        out_GLV = v_GLV.new_empty(batch * heads, length, v_GLV.shape[-1])
        lse_GL1 = torch.empty(batch * heads, length, 1, dtype=torch.float32, device=q_GLD.device)
        max_GL1 = torch.empty_like(lse_GL1)
        for tile in _forward_tiles(q_BHLD.shape, segment_ids_BL):
            logits_GQK = (q_GLD[tile.g, tile.q] @ k_GLD[tile.g, tile.k].transpose(-1, -2)).float().mul_(scale)
            top_GQ1 = tile.hide(logits_GQK, float("-inf")).amax(-1, keepdim=True)
            p_GQK = logits_GQK.sub_(top_GQ1).exp_()
            total_GQ1 = p_GQK.sum(-1, keepdim=True)
            max_GL1[tile.g, tile.q] = top_GQ1
            lse_GL1[tile.g, tile.q] = total_GQ1.log().add_(top_GQ1)
            out_GLV[tile.g, tile.q] = (p_GQK.to(v_GLV.dtype) @ v_GLV[tile.g, tile.k]).div_(total_GQ1.to(v_GLV.dtype))
        ctx.save_for_backward(q_GLD, k_GLD, v_GLV, out_GLV, lse_GL1, segment_ids_BL)
        ctx.scale, ctx.shape = scale, q_BHLD.shape  # type: ignore[attr-defined]
        max_H = max_GL1.view(batch, heads, length).amax(dim=(0, 2))
        ctx.mark_non_differentiable(max_H)
        return out_GLV.unflatten(0, (batch, heads)), max_H

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx, grad_BHLV: Tensor, grad_max_H: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q_GLD, k_GLD, v_GLV, out_GLV, lse_GL1, segment_ids_BL = ctx.saved_tensors  # type: ignore[attr-defined]
        scale: float = ctx.scale  # type: ignore[attr-defined]
        shape: torch.Size = ctx.shape  # type: ignore[attr-defined]
        grad_GLV = grad_BHLV.flatten(0, 1).contiguous()
        dq_GLD = torch.zeros_like(q_GLD, dtype=torch.float32)
        dk_GLD, dv_GLV = torch.empty_like(k_GLD), torch.empty_like(v_GLV)
        delta_GL1 = (grad_GLV.float() * out_GLV.float()).sum(-1, keepdim=True)
        for tile in _backward_tiles(shape, segment_ids_BL):
            q_GQD, k_GKD, grad_GQV = q_GLD[tile.g, tile.q], k_GLD[tile.g, tile.k], grad_GLV[tile.g, tile.q]
            logits_GQK = (q_GQD @ k_GKD.transpose(-1, -2)).float().mul_(scale)
            p_GQK = tile.hide(logits_GQK.sub_(lse_GL1[tile.g, tile.q]).exp_(), 0.0)
            dv_GLV[tile.g, tile.k] = p_GQK.to(grad_GQV.dtype).transpose(-1, -2) @ grad_GQV
            dp_GQK = (grad_GQV @ v_GLV[tile.g, tile.k].transpose(-1, -2)).float()
            ds_GQK = p_GQK.mul_(dp_GQK.sub_(delta_GL1[tile.g, tile.q])).mul_(scale).to(q_GLD.dtype)
            dk_GLD[tile.g, tile.k] = ds_GQK.transpose(-1, -2) @ q_GQD
            dq_GLD[tile.g, tile.q] += ds_GQK @ k_GKD
        grads = (dq_GLD.to(q_GLD.dtype), dk_GLD, dv_GLV)
        dq_BHLD, dk_BHLD, dv_BHLV = (x.unflatten(0, shape[:2]) for x in grads)
        return dq_BHLD, dk_BHLD, dv_BHLV, None, None


def flex_block_mask(batch: int, length: int, device: torch.device, segment_ids_BL: Tensor | None) -> BlockMask:
    """FlexAttention's mask: causal, within segments and their prefixes; blocks that are all hidden are skipped."""

    def causal(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return q >= k

    if segment_ids_BL is None:
        return create_block_mask(causal, None, None, length, length, device=str(device))
    own_BL, prefix_BL = _own_and_prefix(segment_ids_BL)

    def within(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (q >= k) & ((own_BL[b, q] == own_BL[b, k]) | (prefix_BL[b, q] == own_BL[b, k]))

    return create_block_mask(within, batch, None, length, length, device=str(device))


@functools.cache
def _compiled_flex() -> Callable[..., tuple[Tensor, AuxOutput]]:
    return torch.compile(flex_attention, dynamic=True)


def _flex(
    q_BHLD: Tensor, k_BHLD: Tensor, v_BHLV: Tensor, scale: float, segment_ids_BL: Tensor | None
) -> tuple[Tensor, Tensor]:
    mask = flex_block_mask(q_BHLD.shape[0], q_BHLD.shape[2], q_BHLD.device, segment_ids_BL)
    out_BHLV, aux = _compiled_flex()(
        q_BHLD, k_BHLD, v_BHLV, block_mask=mask, scale=scale, return_aux=AuxRequest(max_scores=True)
    )
    assert aux.max_scores is not None
    return out_BHLV, aux.max_scores.amax(dim=(0, 2))


def attention_max_logit(
    q_BHLD: Tensor, k_BHLD: Tensor, v_BHLV: Tensor, scale: float, segment_ids_BL: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Causal attention within equal segment ids, and the largest logit of each head.

    Args:
        q_BHLD, k_BHLD: [B, H, L, D].
        v_BHLV: [B, H, L, V]; V may differ from D.
        scale: positive; multiplies the logits, and so the maximum (report §2.1: S_max includes 1/√d).
        segment_ids_BL: integers; a query sees only keys of its own id. With [B, L, 2] the second id names a segment
            that it sees too: a prefix that several continuations share.

    Returns:
        Output [B, H, L, V] and the maximum [H] in float32, which carries no gradient.
    """
    if q_BHLD.device.type == "cuda":
        out_BHLV, max_H = _flex(q_BHLD, k_BHLD, v_BHLV, scale, segment_ids_BL)
        return out_BHLV, max_H.detach()
    out_BHLV, max_H = _Attention.apply(q_BHLD, k_BHLD, v_BHLV, scale, segment_ids_BL)
    return out_BHLV, max_H.detach()
