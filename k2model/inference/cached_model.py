"""The network over a compressed MLA cache: new positions of some rows in, their hidden states out.

The cache keeps `kv_lora_rank + qk_rope_head_dim` values per token and layer. Several new positions of a row attend to
decompressed keys and values; a single one uses the absorbed form, in which the key and value up-projections move to
the query and the output, so the cache is read as it is (DeepSeek-V2 §2.1.2).

Axes: L layers, B rows of a batch, S rows of the cache, Q new positions of a row, T cached positions, H heads, C hidden
width, N nope width, K kv_lora_rank, R rope width, V value width, X = K + R.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from k2model.attention import MLA
from k2model.describe import cache_values
from k2model.model import Call, K2Model, Layer
from k2model.moe import MoE
from kernels.decode_attention import decode_attention
from kernels.prefill_attention import prefill_attention

CACHE_BYTES = 4 << 30  # on a CPU; 32 rows of 8,192 positions of a network of 30 layers would take 22 GB


def rows_in_memory(model: K2Model, length: int, most: int) -> int:
    """How many sequences of that length a cache is for: `most`, or as many as `CACHE_BYTES` of a CPU hold."""
    weight = model.model.embed_tokens.weight
    if weight.device.type != "cpu":
        return most
    position = cache_values(model.config) * weight.element_size()
    return max(1, min(most, CACHE_BYTES // (position * length)))


class CachedModel:
    """A model and the cache of `rows` sequences of up to `length` positions; it reads the model's live weights."""

    def __init__(self, model: K2Model, rows: int, length: int) -> None:
        c, weight = model.config, model.model.embed_tokens.weight
        self.model = model
        shape = (c.num_hidden_layers, rows, length, c.kv_lora_rank + c.qk_rope_head_dim)
        self.cache_LSTX = torch.zeros(shape, dtype=weight.dtype, device=weight.device)

    def copy(self, row: int, others: Sequence[int], length: int) -> None:
        """Gives other rows the first positions of a row."""
        if others:
            self.cache_LSTX[:, others, :length] = self.cache_LSTX[:, row : row + 1, :length]

    def clear(self, row: int) -> None:
        """Forgets a row whose values may not be finite: a masked position's weight of 0 does not make up for NaN."""
        self.cache_LSTX[:, row] = 0.0

    def read(self, pieces: Sequence[Sequence[int]], starts: Sequence[int], rows: Sequence[int]) -> Tensor:
        """Normed hidden states [B, Q, C] of new tokens; their keys and values enter the cache.

        Q is the longest piece. A shorter one is filled up with its own last token: what stands there afterwards, in
        the output and in the cache, is overwritten or masked before anything reads it.

        Args:
            pieces: new token ids of each row.
            starts: the position of each piece's first token.
            rows: of the cache, all different.
        """
        device, width = self.cache_LSTX.device, max(map(len, pieces))
        if self.model.lockstep is not None:
            self.model.lockstep.turn(Call.TOKEN if width == 1 else Call.CHUNK)
        filled = [[*piece, *[piece[-1]] * (width - len(piece))] for piece in pieces]
        tokens_BQ = torch.tensor(filled, device=device)
        positions_BQ = torch.tensor(starts, device=device)[:, None] + torch.arange(width, device=device)
        rows_B = torch.tensor(rows, device=device)
        stop = max(start + len(piece) for start, piece in zip(starts, pieces, strict=True))
        return self._forward(tokens_BQ, positions_BQ.clamp_(max=self.cache_LSTX.shape[2] - 1), rows_B, stop)

    def _forward(self, tokens_BQ: Tensor, positions_BQ: Tensor, rows_B: Tensor, stop: int) -> Tensor:
        cos_BQR, sin_BQR = self.model.rope(positions_BQ)
        rope = cos_BQR[:, :, None], sin_BQR[:, :, None]
        x_BQC = self.model.model.embed_tokens(tokens_BQ)
        for index, layer in enumerate(self.model.model.layers):
            assert isinstance(layer, Layer)
            normed_BQC = layer.input_layernorm(x_BQC)
            if tokens_BQ.shape[1] == 1:
                attended_BQC = self._absorbed(index, layer.self_attn, normed_BQC, rope, positions_BQ, rows_B)
            else:
                cached_BTX = self._cache(index, layer.self_attn, normed_BQC, rope, positions_BQ, rows_B, stop)
                with self._whole(layer.self_attn.kv_b_proj.weight):
                    attended_BQC = _decompressed(layer.self_attn, normed_BQC, rope, cached_BTX, positions_BQ[:, 0])
            x_BQC = x_BQC + attended_BQC
            normed_BQC = layer.post_attention_layernorm(x_BQC)
            if isinstance(layer.mlp, MoE):
                x_BQC = x_BQC + layer.mlp.mix(normed_BQC, *layer.mlp.gate(normed_BQC.flatten(0, 1)))
            elif layer.sparse:  # experts of several ranks
                x_BQC = x_BQC + layer.mlp(normed_BQC)[0]
            else:
                x_BQC = x_BQC + layer.mlp(normed_BQC)
        return self.model.model.norm(x_BQC)

    def _absorbed(
        self,
        index: int,
        mla: MLA,
        normed_B1C: Tensor,
        rope: tuple[Tensor, Tensor],
        positions_B1: Tensor,
        rows_B: Tensor,
    ) -> Tensor:
        """Attention of one new position per row, in the space of the cache, which takes it in."""
        cos_BR, sin_BR = (table[:, 0, 0] for table in rope)
        with self._whole(mla.kv_b_proj.weight, mla.kv_a_layernorm.weight):
            out_BHV = decode_attention(
                mla.heads(normed_B1C)[:, 0],
                mla.kv_a_proj_with_mqa(normed_B1C)[:, 0],
                mla.latent_weights(),
                cos_BR,
                sin_BR,
                self.cache_LSTX[index],
                rows_B,
                positions_B1[:, 0],
            )
        return mla.o_proj(out_BHV.flatten(1))[:, None]

    def _whole(self, *weights: nn.Parameter) -> AbstractContextManager[Any]:
        """In which weights that are used without a call of their module are whole, wherever their parts are."""
        return nullcontext() if self.model.lockstep is None else self.model.lockstep.gathered(*weights)

    def _cache(
        self,
        index: int,
        mla: MLA,
        normed_BQC: Tensor,
        rope: tuple[Tensor, Tensor],
        positions_BQ: Tensor,
        rows_B: Tensor,
        stop: int,
    ) -> Tensor:
        """Writes the new positions of a layer and returns the rows of the batch, [B, stop, X]."""
        latent_BQK, k_rope_BQR = mla.compress(normed_BQC, *rope)
        cache_STX = self.cache_LSTX[index]
        cache_STX[rows_B[:, None], positions_BQ] = torch.cat((latent_BQK, k_rope_BQR), dim=-1).to(cache_STX.dtype)
        return cache_STX[rows_B, :stop]


def _decompressed(
    mla: MLA, normed_BQC: Tensor, rope: tuple[Tensor, Tensor], cached_BTX: Tensor, start_B: Tensor
) -> Tensor:
    """Attention of a chunk of new positions against decompressed keys and values."""
    c = mla.config
    q_BQHD = torch.cat(mla.queries(normed_BQC, *rope), dim=-1)
    latent_BTK, k_rope_BTR = cached_BTX.split([c.kv_lora_rank, c.qk_rope_head_dim], dim=-1)
    kv_BTHX = F.linear(latent_BTK, mla.kv_b_proj.weight).unflatten(-1, (c.num_attention_heads, -1))
    k_nope_BTHN, v_BTHV = kv_BTHX.split([c.qk_nope_head_dim, c.v_head_dim], dim=-1)
    k_BTHD = torch.cat((k_nope_BTHN, k_rope_BTR[:, :, None].expand(-1, -1, c.num_attention_heads, -1)), dim=-1)
    return mla.o_proj(prefill_attention(q_BQHD, k_BTHD, v_BTHV, c.softmax_scale, start_B).flatten(-2))
