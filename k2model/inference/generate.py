"""Batched generation with continuous batching over a compressed MLA cache.

The cache keeps `kv_lora_rank + qk_rope_head_dim` values per token and layer. Prompts are read in chunks against
decompressed keys and values; a decoding step uses the absorbed form, in which the key and value up-projections move
to the query and the output, so the cache is read as it is (DeepSeek-V2 §2.1.2).

Axes: B rows (slots), Q new positions of a row, T cached positions, H heads, C hidden width, N nope width,
K kv_lora_rank, R rope width, V value width, X = K + R.
"""

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from k2model.attention import MLA
from k2model.chat.tokenizer import K2Tokenizer
from k2model.chat.turn import TurnReader
from k2model.errors import ConfigError
from k2model.inference.sampling import bias_logits, choose, penalize, tempered
from k2model.model import K2Model, Layer
from k2model.moe import MoE
from kernels.decode_attention import decode_attention

LOGITS_AT_ONCE = 2**24  # of a prompt whose log-probabilities are asked for


class Constraint(Protocol):
    """A grammar that one request follows."""

    def allowed(self) -> Tensor:
        """Boolean [vocabulary]: tokens that may come next."""

    def accept(self, token: int) -> None:
        """Moves on by a token that was sampled."""

    def finished(self) -> bool:
        """True when nothing may follow."""

    def forced(self) -> bool:
        """True once the budget alone kept the model from going on: the turn is whole, and its end is `length`."""


@dataclass(frozen=True)
class Request:
    """Token ids in, token ids out.

    The stream of random numbers depends on `seed` alone, not on the rest of the batch. Steps in vLLM's order: logits,
    constraint, `logit_bias`, penalties on generated tokens, `temperature`, `min_p`, `top_k`, `top_p`.

    Args:
        markup: the answer is a turn of a chat, and stop strings apply to its content alone; without, to all of it.
        temperature: 0, or too small for a division, is greedy.
        top_logprobs: so many alternatives of each generated token are given.
        frequency_penalty, presence_penalty: taken from the logit of a token that was generated, times its count, once.
        logit_bias: added to the logit of a token.
        top_k: so many of the most likely tokens are kept; 0 keeps all.
        min_p: tokens at least this fraction as likely as the most likely one are kept.
        prompt_logprobs: log-probabilities of the prompt's tokens too, each with so many alternatives; None for none.

    Raises:
        ConfigError: a value that can't be; the message names it.
    """

    prompt: Sequence[int]
    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    stop_ids: frozenset[int] = frozenset()
    stop_strings: tuple[str, ...] = ()
    markup: bool = True
    constraint: Constraint | None = None
    top_logprobs: int = 0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    top_k: int = 0
    min_p: float = 0.0
    prompt_logprobs: int | None = None

    def __post_init__(self) -> None:
        if not len(self.prompt) or self.max_tokens < 1:
            raise ConfigError("request: needs a prompt and max_tokens of at least 1")
        for name, low, high in RANGES:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ConfigError(f"{name}: {value} is not between {low} and {high}")
        if self.top_p == 0:
            raise ConfigError("top_p: 0 keeps no token")
        for token, bias in self.logit_bias.items():
            if not -100 <= bias <= 100:
                raise ConfigError(f"logit_bias: {bias} of token {token} is not between -100 and 100")


RANGES = (
    ("temperature", 0.0, 1e6),
    ("top_p", 0.0, 1.0),
    ("top_k", 0, math.inf),
    ("min_p", 0.0, 1.0),
    ("frequency_penalty", -2.0, 2.0),
    ("presence_penalty", -2.0, 2.0),
    ("top_logprobs", 0, math.inf),
    ("prompt_logprobs", 0, math.inf),
)


@dataclass
class Result:
    """`ids` include the stop token; `logprobs`, one per id, are of the tempered distribution before top-p, top-k and
    min-p.

    `top` has for each id the `top_logprobs` most likely (id, log-probability), none when the request asks for none.
    `prompt_logprobs` and `prompt_top` are of the prompt's tokens from the second on, by the model's own distribution
    (no bias, no penalty, temperature 1), when the request asks for them; the first token follows nothing.
    """

    prompt_tokens: int
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str = "length"
    top: list[list[tuple[int, float]]] = field(default_factory=list)
    prompt_logprobs: list[float] = field(default_factory=list)
    prompt_top: list[list[tuple[int, float]]] = field(default_factory=list)


@dataclass
class _Slot:
    handle: int
    request: Request
    result: Result
    length: int  # cached positions
    reader: TurnReader | None  # looks for stop strings
    counts: Counter[int] = field(default_factory=Counter)  # of generated tokens


class Engine:
    """Generates for many requests at once; finished ones leave, waiting ones enter.

    The engine reads the model's live weights: after a training step there is nothing to refresh.

    Args:
        max_batch: slots.
        max_length: prompt and output tokens of a request together.
        prefill_chunk: prompt tokens of a row that are read at once.

    Attributes:
        sampled: tokens that were sampled so far.
    """

    def __init__(
        self,
        model: K2Model,
        tokenizer: K2Tokenizer | None = None,
        *,
        max_batch: int = 32,
        max_length: int | None = None,
        prefill_chunk: int = 512,
    ) -> None:
        c = model.config
        limit = max_length or c.max_position_embeddings
        if limit > c.max_position_embeddings:
            raise ConfigError(f"max_length: {limit} exceeds max_position_embeddings {c.max_position_embeddings}")
        self.model, self.tokenizer = model, tokenizer
        self.max_length, self.prefill_chunk = limit, prefill_chunk
        weight = model.model.embed_tokens.weight
        shape = (c.num_hidden_layers, max_batch, limit, c.kv_lora_rank + c.qk_rope_head_dim)
        self.cache_LBTX = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        self.free = list(range(max_batch))[::-1]
        self.active: dict[int, _Slot] = {}
        self.waiting: deque[_Slot] = deque()
        self._next = 0
        self.sampled = 0

    def submit(self, request: Request) -> int:
        """Queues a request and returns its handle.

        Raises:
            ConfigError: a prompt that leaves no room for a token, a token outside the vocabulary.
        """
        vocab_size = self.model.config.vocab_size
        for name, tokens in (("prompt", request.prompt), ("logit_bias", list(request.logit_bias))):
            outside = next((token for token in tokens if not 0 <= token < vocab_size), None)
            if outside is not None:
                raise ConfigError(f"{name}: token {outside} is outside the vocabulary of {vocab_size}")
        if len(request.prompt) >= self.max_length:
            raise ConfigError(f"request: a prompt of {len(request.prompt)} tokens; the context is {self.max_length}")
        reader = None
        if request.stop_strings:
            if self.tokenizer is None:
                raise ConfigError("request: stop strings need an engine with a tokenizer")
            reader = TurnReader(self.tokenizer, markup=request.markup, stops=request.stop_strings)
        handle = self._next
        self._next += 1
        self.waiting.append(_Slot(handle, request, Result(len(request.prompt)), 0, reader))
        return handle

    def cancel(self, handle: int) -> None:
        """Forgets a request; one that is already done is no error."""
        for row, slot in self.active.items():
            if slot.handle == handle:
                del self.active[row]
                self.free.append(row)
                return
        self.waiting = deque(slot for slot in self.waiting if slot.handle != handle)

    def partial(self) -> dict[int, Result]:
        """What the active requests have so far."""
        return {slot.handle: slot.result for slot in self.active.values()}

    def interrupt(self) -> list[tuple[int, Result]]:
        """Stops everything: what active and waiting requests have so far, with finish reason `interrupted`."""
        slots = sorted([*self.active.values(), *self.waiting], key=lambda slot: slot.handle)
        self.free += sorted(self.active, reverse=True)
        self.active.clear()
        self.waiting.clear()
        for slot in slots:
            slot.result.finish_reason = "interrupted"
        return [(slot.handle, slot.result) for slot in slots]

    def generate(self, requests: Sequence[Request]) -> list[Result]:
        """Results in the order of the requests."""
        handles = [self.submit(request) for request in requests]
        done: dict[int, Result] = {}
        while len(done) < len(handles):
            done |= dict(self.step())
        return [done[handle] for handle in handles]

    @torch.no_grad()
    def step(self) -> list[tuple[int, Result]]:
        """Admits waiting requests, decodes one token of every active one, returns those that finished."""
        finished: list[tuple[int, Result]] = []
        if self.waiting and self.free:
            rows = []
            while self.waiting and self.free:
                rows.append(self.free.pop())
                self.active[rows[-1]] = self.waiting.popleft()
            finished += self._take(rows, self._prefill(rows))
        rows = sorted(self.active)
        if rows:
            finished += self._take(rows, self._decode(rows))
        return finished

    def _prefill(self, rows: list[int]) -> Tensor:
        """Reads the prompts of `rows` and returns the logits after each, [B, vocabulary].

        Equal prompts (the samples of one question) are read once and their cache is copied.
        """
        copies: dict[tuple[int, ...], list[int]] = {}
        for row in rows:
            copies.setdefault(tuple(self.active[row].request.prompt), []).append(row)
        last_UC = self._read_prompts(copies)
        for prompt, (first, *others) in copies.items():
            for row in (first, *others):
                self.active[row].length = len(prompt)
            if others:
                self.cache_LBTX[:, others, : len(prompt)] = self.cache_LBTX[:, first : first + 1, : len(prompt)]
        place = {row: unique for unique, same in enumerate(copies.values()) for row in same}
        return self.model.lm_head(last_UC).float()[[place[row] for row in rows]]

    def _read_prompts(self, rows_of: Mapping[tuple[int, ...], Sequence[int]]) -> Tensor:
        """Hidden state after the last token of each prompt, [B, C]; the cache of its first row is filled."""
        device = self.cache_LBTX.device
        prompts, rows = list(rows_of), [same[0] for same in rows_of.values()]
        last_BC = torch.empty(len(rows), self.model.config.hidden_size, dtype=self.cache_LBTX.dtype, device=device)
        longest = max(map(len, prompts))
        for start in range(0, longest, self.prefill_chunk):
            part = [i for i, prompt in enumerate(prompts) if len(prompt) > start]
            stop = min(start + self.prefill_chunk, max(len(prompts[i]) for i in part))
            tokens_BQ = torch.zeros(len(part), stop - start, dtype=torch.long)
            for place, i in enumerate(part):
                ids = prompts[i][start:stop]
                tokens_BQ[place, : len(ids)] = torch.tensor(ids)
            positions_BQ = torch.arange(start, stop).expand_as(tokens_BQ)
            slots_B = torch.tensor([rows[i] for i in part])
            hidden_BQC = self._forward(tokens_BQ.to(device), positions_BQ.to(device), slots_B.to(device), stop)
            for place, i in enumerate(part):
                self._score_prompt(prompts[i], start, hidden_BQC[place], rows_of[prompts[i]])
                if start < len(prompts[i]) <= stop:
                    last_BC[i] = hidden_BQC[place, len(prompts[i]) - 1 - start]
        return last_BC

    def _score_prompt(self, prompt: Sequence[int], start: int, hidden_QC: Tensor, rows: Sequence[int]) -> None:
        """Gives the rows that ask for it the log-probabilities of what follows the positions from `start` on."""
        results = [(slot.request.prompt_logprobs, slot.result) for slot in map(self.active.__getitem__, rows)]
        wanted = [(top, result) for top, result in results if top is not None]
        if not wanted:
            return
        targets_Q = torch.tensor(prompt[start + 1 : start + 1 + len(hidden_QC)], device=hidden_QC.device)
        size = max(1, LOGITS_AT_ONCE // self.model.config.vocab_size)
        for ids_N, part_NC in zip(targets_Q.split(size), hidden_QC[: len(targets_Q)].split(size), strict=True):
            logp_NV = torch.log_softmax(self.model.lm_head(part_NC).float(), dim=-1)
            logprobs = logp_NV.gather(1, ids_N[:, None]).squeeze(1).tolist()
            for top, result in wanted:
                result.prompt_logprobs += logprobs
                result.prompt_top += _most_likely(logp_NV, top) if top else []

    def _decode(self, rows: list[int]) -> Tensor:
        device = self.cache_LBTX.device
        slots = [self.active[row] for row in rows]
        tokens_B1 = torch.tensor([[slot.result.ids[-1]] for slot in slots], device=device)
        positions_B1 = torch.tensor([[slot.length] for slot in slots], device=device)
        stop = max(slot.length for slot in slots) + 1
        hidden_B1C = self._forward(tokens_B1, positions_B1, torch.tensor(rows, device=device), stop)
        for slot in slots:
            slot.length += 1
        return self.model.lm_head(hidden_B1C[:, 0]).float()

    def _take(self, rows: list[int], logits_BV: Tensor) -> list[tuple[int, Result]]:
        """Samples a token for each row; frees the rows that are done."""
        slots = [self.active[row] for row in rows]
        self.sampled += len(rows)
        requests = [slot.request for slot in slots]
        for slot, logits_V in zip(slots, logits_BV, strict=True):
            request = slot.request
            if request.constraint is not None:
                logits_V.masked_fill_(~request.constraint.allowed(), float("-inf"))
            if request.logit_bias:
                bias_logits(logits_V, request.logit_bias)
            if slot.counts and (request.frequency_penalty or request.presence_penalty):
                penalize(logits_V, slot.counts, request.frequency_penalty, request.presence_penalty)
        temperature = [request.temperature for request in requests]
        logp_BV = tempered(logits_BV, temperature)
        chosen_B = choose(
            logp_BV,
            temperature=temperature,
            top_p=[request.top_p for request in requests],
            seed=[request.seed for request in requests],
            step=[len(slot.result.ids) for slot in slots],
            top_k=[request.top_k for request in requests],
            min_p=[request.min_p for request in requests],
        )
        for slot, logp_V in zip(slots, logp_BV, strict=True):
            if slot.request.top_logprobs:
                slot.result.top += _most_likely(logp_V[None], slot.request.top_logprobs)
        token_B, logprob_B = chosen_B.tolist(), logp_BV.gather(1, chosen_B[:, None]).squeeze(1).tolist()
        done: list[tuple[int, Result]] = []
        for row, slot, token, logprob in zip(rows, slots, token_B, logprob_B, strict=True):
            slot.result.ids.append(token)
            slot.counts[token] += 1
            slot.result.logprobs.append(logprob)
            reason = self._finish_reason(slot, token)
            if reason is not None:
                slot.result.finish_reason = reason
                done.append((slot.handle, slot.result))
                del self.active[row]
                self.free.append(row)
        return done

    def _finish_reason(self, slot: _Slot, token: int) -> str | None:
        request, ids = slot.request, slot.result.ids
        if request.constraint is not None:
            request.constraint.accept(token)
            if request.constraint.finished():
                return "length" if request.constraint.forced() else "stop"
        if token in request.stop_ids:
            return "stop"
        if slot.reader is not None:
            slot.reader.feed([token])
            if slot.reader.stopped:
                return "stop"
        if len(ids) >= request.max_tokens or len(request.prompt) + len(ids) >= self.max_length:
            return "length"
        return None

    def _forward(self, tokens_BQ: Tensor, positions_BQ: Tensor, slots_B: Tensor, stop: int) -> Tensor:
        """Normed hidden states [B, Q, C] of new positions; their keys and values enter the cache."""
        cos_BQR, sin_BQR = self.model.rope(positions_BQ)
        rope = cos_BQR[:, :, None], sin_BQR[:, :, None]
        unseen_BQT = torch.arange(stop, device=positions_BQ.device) > positions_BQ[..., None]
        x_BQC = self.model.model.embed_tokens(tokens_BQ)
        for index, layer in enumerate(self.model.model.layers):
            assert isinstance(layer, Layer)
            normed_BQC = layer.input_layernorm(x_BQC)
            if tokens_BQ.shape[1] == 1:
                attended_BQC = self._absorbed(index, layer.self_attn, normed_BQC, rope, positions_BQ, slots_B)
            else:
                cached_BTX = self._cache(index, layer.self_attn, normed_BQC, rope, positions_BQ, slots_B, stop)
                attended_BQC = _decompressed(layer.self_attn, normed_BQC, rope, cached_BTX, unseen_BQT)
            x_BQC = x_BQC + attended_BQC
            normed_BQC = layer.post_attention_layernorm(x_BQC)
            if isinstance(layer.mlp, MoE):
                x_BQC = x_BQC + layer.mlp.mix(normed_BQC, *layer.mlp.gate(normed_BQC.flatten(0, 1)))
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
        slots_B: Tensor,
    ) -> Tensor:
        """Attention of one new position per row, in the space of the cache, which takes it in."""
        cos_BR, sin_BR = (table[:, 0, 0] for table in rope)
        out_BHV = decode_attention(
            mla.heads(normed_B1C)[:, 0],
            mla.kv_a_proj_with_mqa(normed_B1C)[:, 0],
            mla.latent_weights(),
            cos_BR,
            sin_BR,
            self.cache_LBTX[index],
            slots_B,
            positions_B1[:, 0],
        )
        return mla.o_proj(out_BHV.flatten(1))[:, None]

    def _cache(
        self,
        index: int,
        mla: MLA,
        normed_BQC: Tensor,
        rope: tuple[Tensor, Tensor],
        positions_BQ: Tensor,
        slots_B: Tensor,
        stop: int,
    ) -> Tensor:
        """Writes the new positions of a layer and returns the rows of the batch, [B, stop, X]."""
        latent_BQK, k_rope_BQR = mla.compress(normed_BQC, *rope)
        cache_BTX = self.cache_LBTX[index]
        cache_BTX[slots_B[:, None], positions_BQ] = torch.cat((latent_BQK, k_rope_BQR), dim=-1).to(cache_BTX.dtype)
        return cache_BTX[slots_B, :stop]


def _most_likely(logp_NV: Tensor, top: int) -> list[list[tuple[int, float]]]:
    best = logp_NV.topk(min(top, logp_NV.shape[1]))
    rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [list(zip(ids, values, strict=True)) for ids, values in rows]


def _decompressed(
    mla: MLA, normed_BQC: Tensor, rope: tuple[Tensor, Tensor], cached_BTX: Tensor, unseen_BQT: Tensor
) -> Tensor:
    """Attention of a chunk of new positions against decompressed keys and values."""
    c = mla.config
    q_BHQD = torch.cat(mla.queries(normed_BQC, *rope), dim=-1).transpose(1, 2)
    latent_BTK, k_rope_BTR = cached_BTX.split([c.kv_lora_rank, c.qk_rope_head_dim], dim=-1)
    kv_BTHX = F.linear(latent_BTK, mla.kv_b_proj.weight).unflatten(-1, (c.num_attention_heads, -1))
    k_nope_BTHN, v_BTHV = kv_BTHX.split([c.qk_nope_head_dim, c.v_head_dim], dim=-1)
    k_BTHD = torch.cat((k_nope_BTHN, k_rope_BTR[:, :, None].expand(-1, -1, c.num_attention_heads, -1)), dim=-1)
    logits_BHQT = (q_BHQD @ k_BTHD.permute(0, 2, 3, 1)).float() * c.softmax_scale
    p_BHQT = logits_BHQT.masked_fill_(unseen_BQT[:, None], float("-inf")).softmax(-1).to(v_BTHV.dtype)
    return mla.o_proj((p_BHQT @ v_BTHV.transpose(1, 2)).transpose(1, 2).flatten(-2))
