"""Batched generation with continuous batching: finished requests leave, waiting ones enter.

Prompts are read in pieces between decoding steps. A request that fails (its constraint raises, its logits aren't
finite) fails alone; the others get the tokens that they would get by themselves.

Axes: B rows of a batch, C hidden width, V vocabulary, N prompt positions.
"""

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Integral
from typing import TypeVar

import torch
from torch import Tensor

from k2model.chat.tokenizer import K2Tokenizer
from k2model.chat.turn import TurnReader
from k2model.errors import ConfigError
from k2model.inference.cached_model import CachedModel
from k2model.inference.request import Generated, Request, RequestFailed
from k2model.inference.sampling import bias_logits, choose, forbid, penalize, tempered
from k2model.model import K2Model

LOGITS_AT_ONCE = 2**24  # of a prompt whose log-probabilities are asked for
Item = TypeVar("Item")


@dataclass
class _Slot:
    handle: int
    request: Request
    prompt: tuple[int, ...]
    result: Generated
    length: int = 0  # cached positions
    counts: Counter[int] = field(default_factory=Counter)  # of generated tokens
    reader: TurnReader | None = None  # looks for stop strings

    def stopped(self, token: int) -> bool:
        """True once a stop string stands in what was generated."""
        if self.reader is None:
            return False
        self.reader.feed([token])
        return self.reader.stopped


@dataclass
class _Prompt:
    """A prompt that is being read, once for all rows that ask for it; the cache of the first is filled."""

    ids: tuple[int, ...]
    rows: list[int]
    read: int = 0  # tokens


class Engine:
    """Generates for many requests at once.

    The engine reads the model's live weights: after a training step there is nothing to refresh.

    Args:
        max_batch: rows.
        max_length: prompt and output tokens of a request together, the model's context by default.
        prefill_chunk: prompt tokens of a row that are read at once.
        prefill_tokens: prompt tokens that a step reads at most (but for one chunk, at least), padding included; by
            default a step reads whole prompts.

    Attributes:
        sampled: tokens that were sampled so far.

    Raises:
        ConfigError: an option that can't be.
    """

    def __init__(
        self,
        model: K2Model,
        tokenizer: K2Tokenizer | None = None,
        *,
        max_batch: int = 32,
        max_length: int | None = None,
        prefill_chunk: int = 512,
        prefill_tokens: int | None = None,
    ) -> None:
        context = model.config.max_position_embeddings
        self.max_length = context if max_length is None else max_length
        if self.max_length > context:
            raise ConfigError(f"max_length: {self.max_length} exceeds max_position_embeddings {context}")
        options = {"max_batch": max_batch, "max_length": self.max_length, "prefill_chunk": prefill_chunk}
        for name, value in (options | {"prefill_tokens": 1 if prefill_tokens is None else prefill_tokens}).items():
            if value < 1:
                raise ConfigError(f"{name}: {value} is below 1")
        self.model, self.tokenizer = model, tokenizer
        self.prefill_chunk, self.prefill_tokens = prefill_chunk, prefill_tokens
        self.cached = CachedModel(model, max_batch, self.max_length)
        self.free = list(range(max_batch))[::-1]
        self.active: dict[int, _Slot] = {}
        self.waiting: deque[_Slot] = deque()
        self._reading: dict[tuple[tuple[int, ...], int | None], _Prompt] = {}
        self._finished: list[tuple[int, Generated]] = []
        self._failed: deque[RequestFailed] = deque()
        self._next = 0
        self.sampled = 0

    @property
    def busy(self) -> bool:
        """True while `step` has something to do or to tell."""
        return bool(self.active or self.waiting or self._finished or self._failed)

    def submit(self, request: Request) -> int:
        """Queues a request and returns its handle.

        Raises:
            ConfigError: a prompt that leaves no room for a token, a token outside the vocabulary.
        """
        vocab_size = self.model.config.vocab_size
        for name, tokens in (("prompt", request.prompt), ("logit_bias", list(request.logit_bias))):
            wrong = next((t for t in tokens if not isinstance(t, Integral) or not 0 <= t < vocab_size), None)
            if wrong is not None:
                raise ConfigError(f"{name}: token {wrong!r} is outside the vocabulary of {vocab_size}")
        if len(request.prompt) >= self.max_length:
            raise ConfigError(f"request: a prompt of {len(request.prompt)} tokens; the context is {self.max_length}")
        slot = _Slot(self._next, request, tuple(request.prompt), Generated(len(request.prompt)))
        if request.stop_strings:
            if self.tokenizer is None:
                raise ConfigError("request: stop strings need an engine with a tokenizer")
            slot.reader = TurnReader(self.tokenizer, markup=request.markup, stops=request.stop_strings)
        self._next += 1
        self.waiting.append(slot)
        return slot.handle

    def cancel(self, handle: int) -> None:
        """Forgets a request, wherever it is; one that is already done is no error."""
        self.waiting = deque(slot for slot in self.waiting if slot.handle != handle)
        for row in [row for row, slot in self.active.items() if slot.handle == handle]:
            self._drop(row)

    def partial(self) -> dict[int, Generated]:
        """What the active requests have so far."""
        return {slot.handle: slot.result for slot in self.active.values()}

    def interrupt(self) -> list[tuple[int, Generated]]:
        """Stops everything: what active and waiting requests have so far, with finish reason `interrupted`."""
        slots = sorted([*self.active.values(), *self.waiting], key=lambda slot: slot.handle)
        for row in sorted(self.active, reverse=True):
            self._drop(row)
        self.waiting.clear()
        for slot in slots:
            slot.result.finish_reason = "interrupted"
        return [(slot.handle, slot.result) for slot in slots]

    def generate(self, requests: Sequence[Request]) -> list[Generated]:
        """Results in the order of the requests.

        Raises:
            RequestFailed: one of them; the others are stopped.
        """
        handles = [self.submit(request) for request in requests]
        done: dict[int, Generated] = {}
        try:
            while len(done) < len(handles):
                done |= dict(self.step())
        except RequestFailed:
            self.interrupt()
            raise
        return [done[handle] for handle in handles]

    @torch.no_grad()
    def step(self) -> list[tuple[int, Generated]]:
        """Admits waiting requests, reads prompts, decodes one token of every row that is read, returns the finished.

        Raises:
            RequestFailed: a request failed and is gone; what finished beside it is returned by the next call.
        """
        if not self._failed:
            self._admit()
            self._read_prompts()
            rows = sorted(self.active.keys() - {row for prompt in self._reading.values() for row in prompt.rows})
            if rows:
                self._take(*self._apart(rows, self._decode, lambda row: [row]))
        if self._failed:
            raise self._failed.popleft()
        finished, self._finished = self._finished, []
        return finished

    def _admit(self) -> None:
        while self.waiting and self.free:
            row, slot = self.free.pop(), self.waiting.popleft()
            self.active[row] = slot
            # Equal prompts (the samples of one question) are read together, but one of which each position is scored.
            key = slot.prompt, None if slot.request.prompt_logprobs is None else slot.handle
            self._reading.setdefault(key, _Prompt(slot.prompt, [])).rows.append(row)

    def _read_prompts(self) -> None:
        """Reads the next pieces, all of them where a step has no bound, and samples where a prompt ends."""
        ended: list[tuple[_Prompt, Tensor]] = []
        while self._reading:
            prompts, last_BC = self._apart(self._next_prompts(), self._read_pieces, lambda prompt: prompt.rows)
            ended += [(prompt, last_C) for prompt, last_C in zip(prompts, last_BC) if prompt.read == len(prompt.ids)]
            # Those that go on come last, so that a short prompt does not wait for a long one.
            read = {id(prompt) for prompt in prompts}
            later = {key: prompt for key, prompt in self._reading.items() if id(prompt) in read}
            self._reading = {key: prompt for key, prompt in self._reading.items() if key not in later}
            self._reading |= {key: prompt for key, prompt in later.items() if prompt.read < len(prompt.ids)}
            if self.prefill_tokens is not None:
                break
        if not ended:
            return
        for prompt, _ in ended:
            self.cached.copy(prompt.rows[0], prompt.rows[1:], len(prompt.ids))
            for row in prompt.rows:
                self.active[row].length = len(prompt.ids)
        logits_PV = self.model.logits(torch.stack([last_C for _, last_C in ended])).float()
        indices = [index for index, (prompt, _) in enumerate(ended) for _ in prompt.rows]
        self._take([row for prompt, _ in ended for row in prompt.rows], logits_PV[indices])

    def _next_prompts(self) -> list[_Prompt]:
        """The prompts that are read next: as many as a step's bound holds when filled up to the longest piece."""
        chosen: list[_Prompt] = []
        width = 0
        for prompt in self._reading.values():
            width = max(width, min(self.prefill_chunk, len(prompt.ids) - prompt.read))
            if chosen and self.prefill_tokens is not None and width * (len(chosen) + 1) > self.prefill_tokens:
                break
            chosen.append(prompt)
        return chosen

    def _read_pieces(self, prompts: list[_Prompt]) -> Tensor:
        """Hidden state after the last token that is read of each prompt, [B, C]."""
        starts = [prompt.read for prompt in prompts]
        pieces = [prompt.ids[prompt.read :][: self.prefill_chunk] for prompt in prompts]
        hidden_BQC = self.cached.read(pieces, starts, [prompt.rows[0] for prompt in prompts])
        for prompt, piece, hidden_QC in zip(prompts, pieces, hidden_BQC, strict=True):
            self._score_piece(prompt, hidden_QC[: len(piece)])
        for prompt, piece in zip(prompts, pieces, strict=True):
            prompt.read += len(piece)
        return torch.stack([hidden_BQC[index, len(piece) - 1] for index, piece in enumerate(pieces)])

    def _score_piece(self, prompt: _Prompt, hidden_NC: Tensor) -> None:
        """Gives a request that asks for it the log-probabilities of what follows each position of a piece."""
        slot = self.active[prompt.rows[0]]
        top, result, start = slot.request.prompt_logprobs, slot.result, prompt.read
        if top is None:
            return
        del result.prompt_logprobs[start:], result.prompt_top[start:]  # of a piece that is read again
        targets_N = torch.tensor(prompt.ids[start + 1 : start + 1 + len(hidden_NC)], device=hidden_NC.device)
        size = max(1, LOGITS_AT_ONCE // self.model.config.vocab_size)
        for ids_N, part_NC in zip(targets_N.split(size), hidden_NC[: len(targets_N)].split(size), strict=True):
            logp_NV = torch.log_softmax(self.model.logits(part_NC).float(), dim=-1)
            result.prompt_logprobs += logp_NV.gather(1, ids_N[:, None]).squeeze(1).tolist()
            result.prompt_top += _most_likely(logp_NV, top) if top else []

    def _decode(self, rows: list[int]) -> Tensor:
        """Logits after the last token of each row, [B, V]."""
        slots = [self.active[row] for row in rows]
        hidden_B1C = self.cached.read([slot.result.ids[-1:] for slot in slots], [slot.length for slot in slots], rows)
        logits_BV = self.model.logits(hidden_B1C[:, 0]).float()
        for slot in slots:
            slot.length += 1
        return logits_BV

    def _take(self, rows: list[int], logits_BV: Tensor) -> None:
        """Samples a token for each row; frees the rows that are done."""
        shaped = [index for index, row in enumerate(rows) if self._shape(row, logits_BV[index])]
        if len(shaped) < len(rows):
            rows, logits_BV = [rows[index] for index in shaped], logits_BV[shaped]
        if not rows:
            return
        slots = [self.active[row] for row in rows]
        requests = [slot.request for slot in slots]
        temperature = [request.temperature for request in requests]
        logp_BV = tempered(logits_BV, temperature)
        token_B = choose(
            logp_BV,
            temperature=temperature,
            top_p=[request.top_p for request in requests],
            seed=[request.seed for request in requests],
            step=[len(slot.result.ids) for slot in slots],
            top_k=[request.top_k for request in requests],
            min_p=[request.min_p for request in requests],
        )
        logprob_B = logp_BV.gather(1, token_B[:, None]).squeeze(1)
        self.sampled += len(rows)
        for index, (row, token, logprob) in enumerate(zip(rows, token_B.tolist(), logprob_B.tolist(), strict=True)):
            slot = slots[index]
            if math.isnan(logprob):
                self._fail(row, FloatingPointError("the model's logits are not finite"))
                continue
            if slot.request.top_logprobs:
                slot.result.top += _most_likely(logp_BV[index : index + 1], slot.request.top_logprobs)
            slot.result.ids.append(token)
            slot.result.logprobs.append(logprob)
            slot.counts[token] += 1
            with self._alone(row):
                reason = self._finish_reason(slot, token)
                if reason is not None:
                    slot.result.finish_reason = reason
                    self._finished.append((slot.handle, slot.result))
                    del self.active[row]
                    self.free.append(row)

    def _shape(self, row: int, logits_V: Tensor) -> bool:
        """Brings a row's constraint, bias and penalties into its logits; False when the request failed."""
        slot = self.active[row]
        request = slot.request
        with self._alone(row):
            if request.constraint is not None:
                forbid(logits_V, request.constraint.allowed())
            if request.logit_bias:
                bias_logits(logits_V, request.logit_bias)
            if slot.counts and (request.frequency_penalty or request.presence_penalty):
                penalize(logits_V, slot.counts, request.frequency_penalty, request.presence_penalty)
        return row in self.active

    def _finish_reason(self, slot: _Slot, token: int) -> str | None:
        request, ids = slot.request, slot.result.ids
        if request.constraint is not None:
            request.constraint.accept(token)
            if request.constraint.finished():
                return "length" if request.constraint.forced() else "stop"
        if token in request.stop_ids or slot.stopped(token):
            return "stop"
        if len(ids) >= request.max_tokens or len(request.prompt) + len(ids) >= self.max_length:
            return "length"
        return None

    def _apart(
        self, items: list[Item], work: Callable[[list[Item]], Tensor], rows_of: Callable[[Item], list[int]]
    ) -> tuple[list[Item], Tensor]:
        """(items, a row of output for each), without those whose work fails also by itself."""
        try:
            return items, work(items)
        except Exception as error:  # whatever the network raises, for lack of memory or of sense
            if self.model.lockstep is not None:
                raise  # the other ranks are in the middle of this call
            if len(items) == 1:
                for row in list(rows_of(items[0])):
                    self._fail(row, error)
                return [], torch.empty(0, device=self.cached.cache_LSTX.device)
        parts = [self._apart([item], work, rows_of) for item in items]
        return [item for kept, _ in parts for item in kept], torch.cat([output for _, output in parts])

    @contextmanager
    def _alone(self, row: int) -> Iterator[None]:
        """What is raised within fails the request of a row and nothing else."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001  a constraint is foreign code, whose panics are no Exception
            self._fail(row, error)

    def _fail(self, row: int, error: BaseException) -> None:
        self._failed.append(RequestFailed(self.active[row].handle, error))
        self._drop(row)
        self.cached.clear(row)

    def _drop(self, row: int) -> None:
        """Takes a row out before its request is done."""
        del self.active[row]
        self.free.append(row)
        for key, prompt in list(self._reading.items()):
            if row in prompt.rows:
                if prompt.rows[0] == row:
                    self.cached.copy(row, prompt.rows[1:2], prompt.read)
                    self.cached.clear(row)
                prompt.rows.remove(row)
                if not prompt.rows:
                    del self._reading[key]


def _most_likely(logp_NV: Tensor, top: int) -> list[list[tuple[int, float]]]:
    best = logp_NV.topk(min(top, logp_NV.shape[1]))
    rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [list(zip(ids, values, strict=True)) for ids, values in rows]
