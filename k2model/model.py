"""The K2 network: embedding, MLA + dense or sparse feed-forward layers, untied head.

Axes: B batch, L positions, C hidden width, V vocabulary, H heads, E routed experts, R rotary pairs.
In `Output` the first axis of `max_logit_LH` and `expert_load_LE` counts layers.
"""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from k2model.attention import MLA, RMSNorm
from k2model.config import K2Config, Recompute
from k2model.errors import ConfigError
from k2model.linear import Linear
from k2model.moe import MLP, Gate, MoE, update_expert_bias
from k2model.rope import rope_table

CHUNK_ELEMENTS = 2**26  # of the [rows, vocabulary] logits that are alive at once

RowScore = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]


@dataclass
class Output:
    """What a forward pass gives.

    loss: mean cross-entropy over targets that count, float32; None without targets.
    logp_BL: log-probability of each target, float32, 0 where it is −100; None without targets.
    logits_BLV: None with targets unless they were asked for.
    max_logit_LH: the largest attention logit of each head in this batch (layers × heads), float32, detached.
    expert_load_LE: how many tokens chose each expert (sparse layers × experts), float32, detached.
    """

    loss: Tensor | None
    logits_BLV: Tensor | None
    max_logit_LH: Tensor
    expert_load_LE: Tensor
    logp_BL: Tensor | None = None


class Call(Enum):
    """Ways to call the network without gradients, each of which asks its layers in an order of its own."""

    NONE = 0
    HEAD = 1
    TOKEN = 2  # the next position of rows whose past is cached
    CHUNK = 3  # several such positions
    HIDDEN = 4


class Lockstep(Protocol):
    """Ranks that only together have a network's weights, so that they must call it at the same time."""

    def turn(self, call: Call) -> None:
        """Until all ranks make this call; takes part in those of the others before it."""

    def gathered(self, *weights: nn.Parameter) -> AbstractContextManager[Any]:
        """In which these weights are whole on every rank."""


class Layer(nn.Module):
    def __init__(self, config: K2Config, index: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = MLA(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.sparse = index >= config.first_k_dense_replace
        self.mlp: MLP | MoE = MoE(config) if self.sparse else MLP(config.hidden_size, config.intermediate_size)

    def forward(
        self,
        x_BLC: Tensor,
        cos_BLR: Tensor,
        sin_BLR: Tensor,
        segment_ids_BL: Tensor | None,
        *,
        apart: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """(output, largest logit of each head, load of each expert). `apart`: both parts are recomputed, each alone."""
        if apart:
            x_BLC, max_logit_H = checkpoint(self._attend, x_BLC, cos_BLR, sin_BLR, segment_ids_BL, use_reentrant=False)
            x_BLC, load_E = checkpoint(self._feed_forward, x_BLC, use_reentrant=False)
            return x_BLC, max_logit_H, load_E
        x_BLC, max_logit_H = self._attend(x_BLC, cos_BLR, sin_BLR, segment_ids_BL)
        x_BLC, load_E = self._feed_forward(x_BLC)
        return x_BLC, max_logit_H, load_E

    def _attend(
        self, x_BLC: Tensor, cos_BLR: Tensor, sin_BLR: Tensor, segment_ids_BL: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        attended_BLC, max_logit_H = self.self_attn(self.input_layernorm(x_BLC), cos_BLR, sin_BLR, segment_ids_BL)
        return x_BLC + attended_BLC, max_logit_H

    def _feed_forward(self, x_BLC: Tensor) -> tuple[Tensor, Tensor | None]:
        normed_BLC = self.post_attention_layernorm(x_BLC)
        if not self.sparse:
            return x_BLC + self.mlp(normed_BLC), None
        out_BLC, load_E = self.mlp(normed_BLC)
        return x_BLC + out_BLC, load_E


class Body(nn.Module):
    """Everything below the head; in a checkpoint its names begin with `model.`."""

    def __init__(self, config: K2Config) -> None:
        super().__init__()
        # `_weight`: drawn in reset_parameters; drawing on the meta device would import torch's compiler.
        weight_VC = torch.empty(config.vocab_size, config.hidden_size)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, _weight=weight_VC)
        self.layers = nn.ModuleList(Layer(config, index) for index in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class K2Model(nn.Module):
    """A K2 network whose weights depend on `seed` only.

    Matrices are drawn from N(0, initializer_range²); norms are 1, correction biases 0.

    Attributes:
        recompute: what the backward pass computes again instead of keeping it: nothing, whole layers, or a layer's
            attention and its feed-forward part one after the other, of which only one is then in memory.
        lockstep: set where ranks that share the weights generate and score with it (`k2model.training.lockstep`).
    """

    def __init__(self, config: K2Config, *, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.recompute: Recompute = "none"
        self.lockstep: Lockstep | None = None
        self.model = Body(config)
        self.lm_head = Linear(config.hidden_size, config.vocab_size)
        self._rope: tuple[Tensor, Tensor] | None = None
        if not self.lm_head.weight.is_meta:
            self.reset_parameters(seed)

    @torch.no_grad()
    def reset_parameters(self, seed: int) -> None:
        """Draws every matrix, and every expert's, from a generator of its own, seeded with its name."""
        for name, param in self.named_parameters():
            if param.ndim == 1:
                continue
            for number, matrix in enumerate(param if param.ndim == 3 else [param]):
                key = f"{seed}|{name}|{number}".encode()
                generator = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(key).digest()[:7], "big"))
                matrix.normal_(0.0, self.config.initializer_range, generator=generator)

    @property
    def device(self) -> torch.device:
        """Where inputs must be."""
        return self.model.embed_tokens.weight.device  # the head of a network for decoding has no weight

    def gates(self) -> list[Gate]:
        """The routers of the sparse layers, in order; `Output.expert_load_LE` has a row for each."""
        return [layer.mlp.gate for layer in self.model.layers if layer.sparse]  # type: ignore[union-attr]

    @torch.no_grad()
    def update_expert_biases(self, load_LE: Tensor, rate: float) -> None:
        """Moves every router's correction bias towards equal load (Moonlight's rule), after a step.

        Raises:
            ConfigError: routers that have none.
        """
        self.config.check_bias_rate(rate)
        for gate, load_E in zip(self.gates(), load_LE, strict=True):
            assert gate.e_score_correction_bias is not None
            update_expert_bias(gate.e_score_correction_bias, load_E, rate, centred=True)

    def rope(self, positions_BL: Tensor) -> tuple[Tensor, Tensor]:
        """(cos_BLR, sin_BLR) in float32 at the given positions.

        Raises:
            ConfigError: a position beyond `max_position_embeddings`, or below 0.
        """
        limit = self.config.max_position_embeddings
        if positions_BL.numel():
            least, most = positions_BL.aminmax()
            if least < 0 or most >= limit:
                outside = int(least) if least < 0 else int(most)
                raise ConfigError(f"max_position_embeddings: position {outside} is not below {limit}")
        if self._rope is None or self._rope[0].device != positions_BL.device:
            cos_PR, sin_PR = rope_table(self.config, limit)
            self._rope = cos_PR.to(positions_BL.device), sin_PR.to(positions_BL.device)
        cos_PR, sin_PR = self._rope
        return cos_PR[positions_BL], sin_PR[positions_BL]

    def hidden(
        self,
        tokens_BL: Tensor,
        positions_BL: Tensor | None = None,
        segment_ids_BL: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(normed hidden_BLC, max_logit_LH, expert_load_LE).

        Raises:
            ConfigError: positions beyond `max_position_embeddings`.
        """
        if tokens_BL.shape[1] > self.config.max_position_embeddings:
            raise ConfigError(
                f"max_position_embeddings: {self.config.max_position_embeddings} is shorter than "
                f"the sequence of {tokens_BL.shape[1]}"
            )
        if self.lockstep is not None:
            self.lockstep.turn(Call.HIDDEN)
        if positions_BL is None:
            positions_BL = torch.arange(tokens_BL.shape[1], device=tokens_BL.device).expand_as(tokens_BL)
        cos_BLR, sin_BLR = self.rope(positions_BL)
        x_BLC = self.model.embed_tokens(tokens_BL)
        recompute = self.recompute if torch.is_grad_enabled() else "none"
        max_logits: list[Tensor] = []
        loads: list[Tensor] = []
        for layer in self.model.layers:
            given = x_BLC, cos_BLR, sin_BLR, segment_ids_BL
            if recompute == "layer":
                result = checkpoint(layer, *given, use_reentrant=False)
            else:
                result = layer(*given, apart=recompute == "parts")
            x_BLC, max_logit_H, load_E = result
            max_logits.append(max_logit_H)
            if load_E is not None:
                loads.append(load_E)
        no_load = x_BLC.new_zeros((0, self.config.n_routed_experts), dtype=torch.float32)
        return self.model.norm(x_BLC), torch.stack(max_logits), torch.stack(loads) if loads else no_load

    def logits(self, hidden_TC: Tensor) -> Tensor:
        """What the head makes of normed hidden states, [..., V]."""
        if self.lockstep is not None:
            self.lockstep.turn(Call.HEAD)
        return self.lm_head(hidden_TC)  # type: ignore[no-any-return]

    def forward(
        self,
        tokens_BL: Tensor,
        targets_BL: Tensor | None = None,
        *,
        positions_BL: Tensor | None = None,
        segment_ids_BL: Tensor | None = None,
        loss_mask_BL: Tensor | None = None,
        temperature: float = 1.0,
        return_logits: bool = False,
    ) -> Output:
        """Loss with targets, logits without.

        Args:
            tokens_BL: ids.
            targets_BL: the id to predict at each position; −100 doesn't count.
            positions_BL: rotary positions, 0..L−1 by default.
            segment_ids_BL: attention stays within equal ids (packed documents); [B, L, 2] adds the id of a shared
                prefix (see `kernels.attention`).
            loss_mask_BL: positions with 0 don't count.
            temperature: divides the logits of `loss` and `logp_BL`.
        """
        hidden_BLC, max_logit_LH, load_LE = self.hidden(tokens_BL, positions_BL, segment_ids_BL)
        logits_BLV = self.logits(hidden_BLC) if targets_BL is None or return_logits else None
        loss = logp_BL = None
        if targets_BL is not None:
            if loss_mask_BL is not None:
                targets_BL = targets_BL.masked_fill(loss_mask_BL == 0, -100)
            count = (targets_BL != -100).sum()
            logp_BL, _ = self._score(hidden_BLC, targets_BL, temperature, self._loss_rows)
            loss = -logp_BL.sum() / count
        return Output(loss, logits_BLV, max_logit_LH, load_LE, logp_BL)

    def log_probs(
        self,
        tokens_BL: Tensor,
        targets_BL: Tensor,
        *,
        positions_BL: Tensor | None = None,
        segment_ids_BL: Tensor | None = None,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """(log-probability of each target_BL, entropy_BL) in float32; both 0 where the target is −100."""
        hidden_BLC, _, _ = self.hidden(tokens_BL, positions_BL, segment_ids_BL)
        return self._score(hidden_BLC, targets_BL, temperature, self._score_rows)

    def _score(
        self, hidden_BLC: Tensor, targets_BL: Tensor, temperature: float, score_rows: RowScore
    ) -> tuple[Tensor, Tensor]:
        """Head and softmax in chunks of rows; more than one chunk is recomputed in the backward pass."""
        flat_TC, targets_T = hidden_BLC.flatten(0, 1), targets_BL.flatten()
        kept_T = (targets_T != -100).nonzero().squeeze(1)
        chunks = kept_T.split(max(1, CHUNK_ELEMENTS // self.config.vocab_size))
        logprobs, entropies = [], []
        for rows_T in chunks:
            rows = flat_TC[rows_T], targets_T[rows_T], temperature
            recompute = len(chunks) > 1 and torch.is_grad_enabled()
            scored = checkpoint(score_rows, *rows, use_reentrant=False) if recompute else score_rows(*rows)
            logprobs.append(scored[0])
            entropies.append(scored[1])
        zero_T = flat_TC.new_zeros(targets_T.shape, dtype=torch.float32)
        logprob_BL = zero_T.index_copy(0, kept_T, torch.cat(logprobs)).view_as(targets_BL)
        return logprob_BL, zero_T.index_copy(0, kept_T, torch.cat(entropies)).view_as(targets_BL)

    def _loss_rows(self, rows_TC: Tensor, targets_T: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        logits_TV = self.logits(rows_TC).float()
        if temperature != 1.0:  # a division by one is a pass over [rows, vocabulary], and another one backward
            logits_TV = logits_TV / temperature
        logprob_T = -F.cross_entropy(logits_TV, targets_T, reduction="none")
        return logprob_T, torch.zeros_like(logprob_T)

    def _score_rows(self, rows_TC: Tensor, targets_T: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        logp_TV = F.log_softmax(self.logits(rows_TC).float() / temperature, dim=-1)
        entropy_T = -(logp_TV.detach().exp() * logp_TV.detach()).sum(-1)
        return logp_TV.gather(1, targets_T[:, None]).squeeze(1), entropy_T
