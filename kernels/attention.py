"""Causal attention that also returns each head's largest logit, exactly, as a by-product of the forward pass.

Axes: B batch, H heads, L positions, D width of a query or key, V width of a value, Q/K positions within a chunk.

SDPA on CPU falls to its unfused path when the widths of keys and values differ, as they do in MLA, and no library
returns the largest logit there. So the queries are taken in chunks: one matmul against the keys up to the end of
the chunk, a softmax in float32, one matmul with the values. The backward pass recomputes the probabilities from
the saved log-sum-exp.
"""

import torch
from torch import Tensor

CHUNK = 256


def attention_reference(
    q_BHLD: Tensor, k_BHLD: Tensor, v_BHLV: Tensor, scale: float, segment_ids_BL: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The definition, in the dtype of the inputs: (output [B, H, L, V], largest logit of each head [H])."""
    mask_BHQK = _mask(0, q_BHLD.shape[2], q_BHLD.device, segment_ids_BL)
    logits_BHLL = (q_BHLD @ k_BHLD.transpose(-1, -2) * scale).masked_fill(~mask_BHQK, float("-inf"))
    return logits_BHLL.softmax(-1) @ v_BHLV, logits_BHLL.amax(dim=(0, 2, 3))


def _mask(start: int, stop: int, device: torch.device, segment_ids_BL: Tensor | None) -> Tensor:
    """True where query start..stop−1 may look at key 0..stop−1: [1, 1, Q, K], or [B, 1, Q, K] with segments."""
    query_Q1 = torch.arange(start, stop, device=device)[:, None]
    mask_QK = query_Q1 >= torch.arange(stop, device=device)
    if segment_ids_BL is None:
        return mask_QK[None, None]
    same_BQK = segment_ids_BL[:, start:stop, None] == segment_ids_BL[:, None, :stop]
    return (same_BQK & mask_QK)[:, None]


def _logits(q: Tensor, k: Tensor, start: int, stop: int, scale: float, segments: Tensor | None) -> Tensor:
    logits_BHQK = (q[:, :, start:stop] @ k[:, :, :stop].transpose(-1, -2)).float().mul_(scale)
    return logits_BHQK.masked_fill_(~_mask(start, stop, q.device, segments), float("-inf"))


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
        length = q_BHLD.shape[2]
        out_BHLV = v_BHLV.new_empty(*q_BHLD.shape[:3], v_BHLV.shape[-1])
        lse_BHL = q_BHLD.new_empty(q_BHLD.shape[:3], dtype=torch.float32)
        max_H = q_BHLD.new_full((q_BHLD.shape[1],), float("-inf"), dtype=torch.float32)
        for start in range(0, length, CHUNK):
            stop = min(start + CHUNK, length)
            logits_BHQK = _logits(q_BHLD, k_BHLD, start, stop, scale, segment_ids_BL)
            row_max_BHQ = logits_BHQK.amax(-1)
            max_H = torch.maximum(max_H, row_max_BHQ.amax(dim=(0, 2)))
            p_BHQK = logits_BHQK.sub_(row_max_BHQ[..., None]).exp_()
            total_BHQ = p_BHQK.sum(-1)
            lse_BHL[:, :, start:stop] = row_max_BHQ + total_BHQ.log()
            weighted_BHQV = p_BHQK.to(v_BHLV.dtype) @ v_BHLV[:, :, :stop]
            out_BHLV[:, :, start:stop] = weighted_BHQV / total_BHQ[..., None].to(v_BHLV.dtype)
        ctx.save_for_backward(q_BHLD, k_BHLD, v_BHLV, out_BHLV, lse_BHL, segment_ids_BL)
        ctx.scale = scale  # type: ignore[attr-defined]
        ctx.mark_non_differentiable(max_H)
        return out_BHLV, max_H

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx, grad_BHLV: Tensor, grad_max_H: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q_BHLD, k_BHLD, v_BHLV, out_BHLV, lse_BHL, segment_ids_BL = ctx.saved_tensors  # type: ignore[attr-defined]
        scale: float = ctx.scale  # type: ignore[attr-defined]
        length = q_BHLD.shape[2]
        dq_BHLD = torch.empty_like(q_BHLD)
        dk_BHLD = torch.zeros_like(k_BHLD, dtype=torch.float32)
        dv_BHLV = torch.zeros_like(v_BHLV, dtype=torch.float32)
        delta_BHL = (grad_BHLV.float() * out_BHLV.float()).sum(-1)
        for start in range(0, length, CHUNK):
            stop = min(start + CHUNK, length)
            logits_BHQK = _logits(q_BHLD, k_BHLD, start, stop, scale, segment_ids_BL)
            p_BHQK = logits_BHQK.sub_(lse_BHL[:, :, start:stop, None]).exp_()
            grad_BHQV = grad_BHLV[:, :, start:stop]
            dv_BHLV[:, :, :stop] += p_BHQK.to(grad_BHQV.dtype).transpose(-1, -2) @ grad_BHQV
            dp_BHQK = (grad_BHQV @ v_BHLV[:, :, :stop].transpose(-1, -2)).float()
            ds_BHQK = p_BHQK.mul_(dp_BHQK.sub_(delta_BHL[:, :, start:stop, None])).mul_(scale).to(q_BHLD.dtype)
            dq_BHLD[:, :, start:stop] = ds_BHQK @ k_BHLD[:, :, :stop]
            dk_BHLD[:, :, :stop] += ds_BHQK.transpose(-1, -2) @ q_BHLD[:, :, start:stop]
        return dq_BHLD, dk_BHLD.to(k_BHLD.dtype), dv_BHLV.to(v_BHLV.dtype), None, None


def attention_max_logit(
    q_BHLD: Tensor, k_BHLD: Tensor, v_BHLV: Tensor, scale: float, segment_ids_BL: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Causal attention within equal segment ids, and the largest logit of each head.

    Args:
        q_BHLD, k_BHLD: [B, H, L, D].
        v_BHLV: [B, H, L, V]; V may differ from D.
        scale: multiplies the logits, and so the maximum (report §2.1: S_max includes 1/√d).
        segment_ids_BL: integers; a query sees only keys of its own id.

    Returns:
        Output [B, H, L, V] and the maximum [H] in float32, which carries no gradient.
    """
    out_BHLV, max_H = _Attention.apply(q_BHLD, k_BHLD, v_BHLV, scale, segment_ids_BL)
    return out_BHLV, max_H.detach()
