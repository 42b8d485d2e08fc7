"""Batched generation with continuous batching: finished requests leave, waiting ones enter.

Prompts are read in pieces between decoding steps. A request that fails (its constraint raises, its logits aren't
finite) fails alone; the others get the tokens that they would get by themselves.

Axes: B rows of a batch, C hidden width, V vocabulary, N prompt positions.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from k2model.chat.tokenizer import K2Tokenizer
from k2model.errors import ConfigError
from k2model.inference.cached_model import CachedModel
from k2model.inference.prefixes import FreeRows, Reading, await_prefix, longest_prefix
from k2model.inference.request import Generated, Request, RequestFailed
from k2model.inference.sampling import bias_logits, choose, forbid, penalize, tempered
from k2model.inference.slot import Slot
from k2model.model import K2Model

LOGITS_AT_ONCE = 2**24  # of a prompt whose log-probabilities are asked for
NOT_FINITE = "the model's logits are not finite"
Item = TypeVar("Item")


class Engine:
    """Generates for many requests at once.

    The engine reads the model's live weights: after a training step there is nothing to refresh, but `forget` is to be
    called where prefixes are reused. Ranks in lockstep reuse what each has read itself: they agree on every call of the
    network, and a copy within the cache is none.

    Args:
        max_batch: rows.
        max_length: prompt and output tokens of a request together, the model's context by default.
        prefill_chunk: prompt tokens of a row that are read at once.
        prefill_tokens: prompt tokens that a step reads at most (but for one chunk, at least), padding included; by
            default a step reads whole prompts.
        reuse_prefixes: a prompt is read from where it parts with what the cache still has of another request, or is
            getting for one that came before; not if its log-probabilities are asked for.

    Attributes:
        sampled: tokens that were sampled so far.
        read, reused: prompt tokens that were read so far, and those that were not, of prompts that have been read.

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
        reuse_prefixes: bool = False,
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
        self.reuse_prefixes = reuse_prefixes
        self.cached = CachedModel(model, max_batch, self.max_length)
        self.free = FreeRows(max_batch)
        self.active: dict[int, Slot] = {}
        self.waiting: deque[Slot] = deque()
        self._reading: dict[tuple[tuple[int, ...], int | None], Reading] = {}
        self._finished: list[tuple[int, Generated]] = []
        self._failed: deque[RequestFailed] = deque()
        self._next = 0
        self.sampled = self.read = self.reused = 0

    @property
    def busy(self) -> bool:
        """True while `step` has something to do or to tell."""
        return bool(self.active or self.waiting or self._finished or self._failed)

    def submit(self, request: Request) -> int:
        """Queues a request and returns its handle.

        Raises:
            ConfigError: a prompt that leaves no room for a token, a token outside the vocabulary, stop strings without
                a tokenizer.
        """
        request.check_tokens(self.model.config.vocab_size)
        if len(request.prompt) >= self.max_length:
            raise ConfigError(f"request: a prompt of {len(request.prompt)} tokens; the context is {self.max_length}")
        slot = Slot.begin(self._next, request, self.tokenizer)
        self._next += 1
        self.waiting.append(slot)
        return slot.handle

    def cancel(self, handle: int) -> None:
        """Forgets a request, wherever it is; one that is already done is no error."""
        self.waiting = deque(slot for slot in self.waiting if slot.handle != handle)
        for row in [row for row, slot in self.active.items() if slot.handle == handle]:
            self._drop(row)

    def forget(self) -> None:
        """Prefixes that were read so far are not reused: they are of weights that have changed.

        Raises:
            RuntimeError: a request has begun, whose cache would be of both.
        """
        if self.active:
            raise RuntimeError(f"{len(self.active)} requests have begun; what they read cannot be forgotten")
        self.free.forget()

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
        """Gives rows to waiting requests, in order; who waits for a prefix lets others pass."""
        passed = []
        while self.waiting and self.free:
            slot = self.waiting.popleft()
            if not self._enter(slot):
                passed.append(slot)
        self.waiting.extendleft(reversed(passed))

    def _enter(self, slot: Slot) -> bool:
        """Gives a row to a request, with the longest prefix that there is; False when a longer one is being read."""
        # Equal prompts (the samples of one question) are read together, but one of which each position is scored.
        scored = slot.request.prompt_logprobs is not None
        key = slot.prompt, slot.handle if scored else None
        source, start = None, 0
        if self.reuse_prefixes and not scored and key not in self._reading:
            if slot.awaited is not None and not slot.awaited.over:
                return False
            source, start = longest_prefix(slot.prompt, self._ids_by_row())
            # Only those that came before are waited for, so that each wait has an end.
            earlier = [prompt for prompt in self._reading.values() if prompt.handle < slot.handle]
            slot.awaited = await_prefix(slot.prompt, start, earlier)
            if slot.awaited is not None:
                return False
        row = self.free.take(source, start)
        if source is not None and source != row:
            self.cached.copy(source, [row], start)
        self.active[row], slot.length = slot, start
        self._reading.setdefault(key, Reading(slot.handle, slot.prompt, [], start, start)).rows.append(row)
        return True

    def _ids_by_row(self) -> dict[int, Sequence[int]]:
        """The tokens that each row's cache begins with, as far as they are reused."""
        return self.free.ids_by_row | {row: slot.reusable for row, slot in self.active.items()}

    def _read_prompts(self) -> None:
        """Reads the next pieces, all of them where a step has no bound, and samples where a prompt ends."""
        ended: list[tuple[Reading, Tensor]] = []
        while self._reading:
            prompts, last_BC = self._apart(self._next_prompts(), self._read_pieces, lambda prompt: prompt.rows)
            for prompt, last_C in zip(prompts, last_BC):
                if not last_C.isfinite().all():  # nor are, in its piece, the tokens before, which others may share
                    for row in list(prompt.rows):
                        self._fail(row, FloatingPointError(NOT_FINITE))
                elif prompt.read == len(prompt.ids):
                    ended.append((prompt, last_C))
            # Those that go on come last, so that a short prompt does not wait for a long one.
            others = {key: prompt for key, prompt in self._reading.items() if prompt not in prompts}
            unread = {key: prompt for key, prompt in self._reading.items() if prompt.read < len(prompt.ids)}
            self._reading = others | unread
            if self.prefill_tokens is not None:
                break
        if not ended:
            return
        for prompt, _ in ended:
            self.cached.copy(prompt.rows[0], prompt.rows[1:], len(prompt.ids))
            for row in prompt.rows:
                slot = self.active[row]
                slot.length = len(prompt.ids)
                slot.result.cached_tokens = prompt.reused if row == prompt.rows[0] else len(prompt.ids)
                self.reused += slot.result.cached_tokens
        logits_PV = self.model.logits(torch.stack([last_C for _, last_C in ended])).float()
        indices = [index for index, (prompt, _) in enumerate(ended) for _ in prompt.rows]
        self._take([row for prompt, _ in ended for row in prompt.rows], logits_PV[indices])

    def _next_prompts(self) -> list[Reading]:
        """The prompts that are read next: as many as a step's bound holds when filled up to the longest piece."""
        chosen: list[Reading] = []
        width = 0
        for prompt in self._reading.values():
            width = max(width, min(self.prefill_chunk, len(prompt.ids) - prompt.read))
            if chosen and self.prefill_tokens is not None and width * (len(chosen) + 1) > self.prefill_tokens:
                break
            chosen.append(prompt)
        return chosen

    def _read_pieces(self, prompts: list[Reading]) -> Tensor:
        """Hidden state after the last token that is read of each prompt, [B, C]."""
        starts = [prompt.read for prompt in prompts]
        pieces = [prompt.ids[prompt.read :][: self.prefill_chunk] for prompt in prompts]
        hidden_BQC = self.cached.read(pieces, starts, [prompt.rows[0] for prompt in prompts])
        for prompt, piece, hidden_QC in zip(prompts, pieces, hidden_BQC, strict=True):
            self._score_piece(prompt, hidden_QC[: len(piece)])
        for prompt, piece in zip(prompts, pieces, strict=True):
            prompt.read += len(piece)
            self.active[prompt.rows[0]].length = prompt.read
            self.read += len(piece)
        return torch.stack([hidden_BQC[index, len(piece) - 1] for index, piece in enumerate(pieces)])

    def _score_piece(self, prompt: Reading, hidden_NC: Tensor) -> None:
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
                self._fail(row, FloatingPointError(NOT_FINITE))
                continue
            if slot.request.top_logprobs:
                slot.result.top += _most_likely(logp_BV[index : index + 1], slot.request.top_logprobs)
            slot.add(token, logprob)
            with self._alone(row):
                reason = self._finish_reason(slot, token)
                if reason is not None:
                    slot.result.finish_reason = reason
                    self._finished.append((slot.handle, slot.result))
                    self._release(row)

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

    def _finish_reason(self, slot: Slot, token: int) -> str | None:
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
        self.active[row].length = 0  # what it has read may not be finite
        self._drop(row)
        self.cached.clear(row)

    def _drop(self, row: int) -> None:
        """Takes a row out before its request is done."""
        self._release(row)
        for key, prompt in list(self._reading.items()):
            if row in prompt.rows:
                if prompt.rows[0] == row:
                    self.cached.copy(row, prompt.rows[1:2], prompt.read)
                prompt.rows.remove(row)
                if not prompt.rows:
                    del self._reading[key]

    def _release(self, row: int) -> None:
        """Frees a row, which keeps what it has read of its prompt."""
        slot = self.active.pop(row)
        self.free.add(row, slot.reusable if self.reuse_prefixes else ())


def _most_likely(logp_NV: Tensor, top: int) -> list[list[tuple[int, float]]]:
    best = logp_NV.topk(min(top, logp_NV.shape[1]))
    rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [list(zip(ids, values, strict=True)) for ids, values in rows]
