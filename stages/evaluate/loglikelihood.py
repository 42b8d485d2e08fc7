"""Multiple-choice questions by the log-likelihood of each choice, as lm_eval compares them: no letter is written.

`<name>_loglikelihood` takes the choice whose tokens are likeliest together (lm_eval's `acc`), and
`<name>_loglikelihood_by_bytes` the likeliest per byte of UTF-8 (`acc_norm`). The text stands as it is, without the chat
format. A K2 network reads a question once for all its choices, and solved ones before it once for all questions.

Axes: B choices, Q positions, C hidden width, N scored tokens.
"""

import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from agents.chat.checkpoint import CheckpointClient
from agents.chat.embedded.client import EmbeddedClient
from agents.chat.protocol import Around, ChatClient
from gym.benchmarks.base import Benchmark, Choices, Sample
from gym.intervals import wilson
from gym.verifiers.result import Status
from k2model.formats.dense import DenseModel
from k2model.inference.cached_model import CachedModel, rows_in_memory
from k2model.inference.prefixes import FreeRows, longest_prefix
from k2model.model import K2Model
from stages.evaluate.runner import NOT_RUN, choose
from stages.harness.base_model import find_source, open_dense
from stages.harness.seeds import sub_seed
from stages.measure.loss import losses
from stages.posttraining.packing import Example

SUM, BY_BYTES = "loglikelihood", "loglikelihood_by_bytes"


@dataclass(frozen=True)
class Reader:
    """A network at hand. `start` precedes every text; `context` is in tokens."""

    network: K2Model | DenseModel
    encode: Callable[[str], list[int]]
    start: tuple[int, ...]
    context: int


def at_hand(client: ChatClient) -> Reader | None:
    """The network behind a client; None when it is behind an endpoint."""
    while isinstance(client, Around):
        client = client.client
    if isinstance(client, CheckpointClient):
        spoken = client.tokenizer
        context = client.network.config.max_position_embeddings
        return Reader(client.network, spoken.encode, (spoken.bos,), context)
    return _embedded() if isinstance(client, EmbeddedClient) else None


@functools.cache
def _embedded() -> Reader:
    """In float32 and without a cache; its client decodes in the type that this processor multiplies fast."""
    network, tokenizer = open_dense(find_source("embedded"))
    return Reader(network, lambda text: list(tokenizer.encode(text).ids), (), network.config.context)


@dataclass(frozen=True)
class Texts:
    """A question with each of its choices as ids; the choices begin at place `first`, or a tokenizer's merge before."""

    ids: list[list[int]]
    first: int


def _texts(reader: Reader, question: Choices) -> Texts:
    """A text that is too long loses its beginning."""
    ids = [[*reader.start, *reader.encode(f"{question.context} {choice}")] for choice in question.choices]
    cut = max(0, max(map(len, ids)) - 1 - reader.context)
    first = max(1, len(reader.start) + len(reader.encode(question.context)) - cut)
    return Texts([each[cut:] for each in ids], first)


def log_likelihoods(reader: Reader, questions: Sequence[Choices]) -> Iterator[list[float]]:
    """For one question after the other the nats of each choice's tokens together, behind the question."""
    if isinstance(reader.network, K2Model):
        once = _ReadOnce(reader.network, [_size(_texts(reader, question)) for question in questions])
        yield from (once.nats(_texts(reader, question)) for question in questions)
        return
    for texts in (_texts(reader, question) for question in questions):
        examples = [Example(ids, [place >= texts.first for place in range(len(ids))]) for ids in texts.ids]
        nats = losses(reader.network, examples, rows=len(examples), pad=0)
        yield [-each * example.targets for each, example in zip(nats, examples, strict=True)]


def _size(texts: Texts) -> tuple[int, int]:
    """(choices, positions of the longest text)."""
    return len(texts.ids), max(map(len, texts.ids)) - 1


class _ReadOnce:
    """Reads what the texts of a question begin with once, and of it only what no question before began with.

    Rows of the cache from `choices` on keep the questions, as many as there is memory for.
    """

    def __init__(self, network: K2Model, sizes: Sequence[tuple[int, int]]) -> None:
        self.network = network
        self.choices, length = (max(each) for each in zip(*sizes, strict=True))
        rows = rows_in_memory(network, length, self.choices + len(sizes))
        self.questions = FreeRows(max(1, rows - self.choices))
        self.cached = CachedModel(network, self.choices + len(self.questions), length)

    @torch.no_grad()
    def nats(self, texts: Texts) -> list[float]:
        same = next((k for k, each in enumerate(zip(*texts.ids, strict=False)) if len(set(each)) > 1), texts.first)
        read = min(same, texts.first - 1)
        rows = range(len(texts.ids))
        if read:
            self._question(texts.ids[0][:read], rows)
        hidden_BQC = self.cached.read([ids[read:-1] for ids in texts.ids], [read] * len(rows), rows)
        nats = []
        for ids, hidden_QC in zip(texts.ids, hidden_BQC, strict=True):
            targets_N = torch.tensor(ids[texts.first :], device=hidden_QC.device)
            hidden_NC = hidden_QC[texts.first - 1 - read :][: len(targets_N)]
            logp_NV = self.network.logits(hidden_NC).float().log_softmax(-1)
            nats.append(float(logp_NV.gather(1, targets_N[:, None]).sum()))
        return nats

    def _question(self, ids: Sequence[int], rows: Sequence[int]) -> None:
        """Into the cache of these rows, by the one that keeps it."""
        source, known = longest_prefix(ids, self.questions.ids_by_row)
        kept = self.questions.take(source, known)
        if source is not None and source != kept:
            self.cached.copy(self.choices + source, [self.choices + kept], known)
        self.cached.read([ids[known:]], [known], [self.choices + kept])
        self.questions.add(kept, ids)
        self.cached.copy(self.choices + kept, rows, len(ids))


def ask(
    bench: Benchmark,
    reader: Reader,
    *,
    seed: int,
    items: int = 0,
    deadline: float | None = None,
    on_answer: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """Two rows for each item that `run_benchmark` asks too (schema SAMPLES), one for each way of comparing.

    Args:
        deadline: on time.monotonic(); items after it get the status `not_run`.
    """
    rows = []
    samples = choose(bench.samples(), items, sub_seed(seed, bench.name, "items"), stratified=bench.stratified)
    questions = [bench.choices(sample) for sample in samples]
    found = log_likelihoods(reader, questions)
    for sample, question in zip(samples, questions, strict=True):
        late = deadline is not None and time.monotonic() > deadline
        nats = [] if late else next(found)
        rows += [_row(bench, sample, question, nats, name) for name in (SUM, BY_BYTES)]
        on_answer()
    return rows


def _row(bench: Benchmark, sample: Sample, question: Choices, nats: Sequence[float], name: str) -> dict[str, Any]:
    sizes = [len(choice.encode()) for choice in question.choices]
    values = [each / size for each, size in zip(nats, sizes, strict=True)] if nats and name == BY_BYTES else nats
    chosen = max(range(len(values)), key=values.__getitem__) if values else None
    prompt = f"sha256:{hashlib.sha256(question.context.encode()).hexdigest()}" if sample.secret else question.context
    return {
        "benchmark": f"{bench.name}_{name}",
        "dataset": bench.manifest.name,
        "task_id": sample.id,
        "sample": sample.repeat,
        "group": sample.group,
        "prompt": prompt,
        "output": json.dumps([round(each, 4) for each in nats]),
        "extracted": "" if chosen is None else str(chosen),
        "expected": str(question.right),
        "score": None if chosen is None else float(chosen == question.right),
        "parts": json.dumps({"choices": len(sizes)}),
        "status": NOT_RUN if chosen is None else Status.SCORED.value,
        "reason": "the budget ended first" if chosen is None else "",
        "finish_reason": "",
        "output_tokens": 0,
    }


def metrics(bench: Benchmark, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Each comparison's share of right choices with its 95 % interval (Wilson) and `_n`; absent when none was run."""
    measures: dict[str, float] = {}
    for kind in (SUM, BY_BYTES):
        name = f"{bench.name}_{kind}"
        scores = [row["score"] for row in rows if row["benchmark"] == name and row["score"] is not None]
        measures[f"{name}_n"] = float(len(scores))
        if scores:
            low, high = wilson(round(sum(scores)), len(scores))
            measures |= {name: sum(scores) / len(scores), f"{name}_ci_low": low, f"{name}_ci_high": high}
    return measures


def line(bench: Benchmark, measures: Mapping[str, float]) -> str:
    """The result for a person."""
    shown = [
        f"{what} {measures[f'{bench.name}_{kind}']:.1%} "
        f"[{measures[f'{bench.name}_{kind}_ci_low']:.1%}, {measures[f'{bench.name}_{kind}_ci_high']:.1%}]"
        for kind, what in ((SUM, "sum"), (BY_BYTES, "by bytes"))
        if f"{bench.name}_{kind}" in measures
    ]
    asked = f"n={measures[f'{bench.name}_{SUM}_n']:.0f}"
    return f"{bench.name}_{SUM}: {', '.join([*(shown or ['not run']), asked])}"


def absent(bench: Benchmark, client: ChatClient) -> str:
    """Why there is no such score of a model behind an endpoint."""
    return f"{bench.name}_{SUM}: left out: {client.model} is behind an endpoint, which gives no log-probabilities"
