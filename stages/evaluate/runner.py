"""Runs a benchmark on a chat client: episodes side by side, answers by content, failures of the machine kept apart."""

import contextlib
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agents.chat.embedded.client import EmbeddedClient
from agents.chat.protocol import Around, BudgetExceeded, ChatAnswer, ChatClient, ChatRefusal, ChatRequest, ChatResponse
from agents.loop.benchmark_agent import agent
from agents.loop.context import DEFAULT, ContextPolicy
from agents.loop.loop import Options
from gym.benchmarks.base import Ask, Benchmark, ContextExceeded, Episode, Grade, Reply, Sample, Settings
from gym.sandbox import LOCAL, Backend
from gym.verifiers.result import Status
from stages.harness.errors import InputError
from stages.harness.seeds import seed32, sub_seed

INFRASTRUCTURE, NOT_RUN = "infrastructure_error", "not_run"
SHINGLE = 8  # words in a row that a secret prompt and a logged answer may not share


class CannotBeAsked(Exception):
    """A benchmark asks with something that the model doesn't know."""


@dataclass
class _Active:
    """An episode under way; `replies` are (who, answer), the simulated user's among them."""

    sample: Sample
    episode: Episode
    ask: Ask
    replies: list[tuple[str, ChatResponse]] = field(default_factory=list)


def choose(samples: Sequence[Sample], items: int, seed: int, *, stratified: bool = False) -> list[Sample]:
    """All repeats of `items` items (0 is all), drawn by seed, in the order given; stratified: each group in turn."""
    ids = list(dict.fromkeys(sample.id for sample in samples))
    if not items or items >= len(ids):
        return list(samples)
    drawn = [ids[k] for k in np.random.default_rng(seed).permutation(len(ids))]
    if stratified:
        group = {sample.id: sample.group for sample in samples}
        earlier: Counter[str] = Counter()
        turn = {}
        for item in drawn:
            turn[item] = earlier[group[item]]
            earlier[group[item]] += 1
        drawn.sort(key=turn.__getitem__)
    kept = set(drawn[:items])
    return [sample for sample in samples if sample.id in kept]


def run_benchmark(
    bench: Benchmark,
    client: ChatClient,
    settings: Settings,
    *,
    seed: int,
    items: int = 0,
    context_policy: ContextPolicy = DEFAULT,
    user: ChatClient | None = None,
    backend: Backend = LOCAL,
    deadline: float | None = None,
    on_answer: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """One row per sample, in order (schema SAMPLES).

    A request that exceeds the context is scored 0; one that is refused or fails is an `infrastructure_error`. Answers
    live in the client's store, so a run that was killed asks only what is missing and grades anew.

    Args:
        context_policy: of an agent whose history exceeds the context.
        user: the model behind the simulated user of a dialogue.
        backend: where a benchmark's programs run.
        deadline: on time.monotonic(); samples not answered by then get the status `not_run`.
        on_answer: called for every answer that arrives.

    Raises:
        CannotBeAsked: it offers tools, and the embedded model knows none.
        InputError: no model for a simulated user.
        ChatError: no request can be answered, or too many were refused.
    """
    drawn = sub_seed(seed, bench.name, "items")
    chosen = choose(bench.samples(settings.repeats), items, drawn, stratified=bench.stratified)
    rows: dict[int, dict[str, Any]] = {}
    with ExitStack() as stack:
        if bench.sandbox:
            bench.backend = backend
            bench.box = stack.enter_context(bench.open_box())
        bench.agent = agent(_limits(settings, context_policy))
        active: dict[int, _Active] = {}
        for index, sample in enumerate(chosen):
            episode = bench.episode(sample)
            active[index] = _Active(sample, episode, next(episode))
        if not _takes_tools(client) and any(attempt.ask.tools for attempt in active.values()):
            raise CannotBeAsked(f"{bench.name}: left out: {client.model} knows no tools")
        while active:
            done = _round(active, client, user, settings, seed, bench.name, deadline, on_answer)
            for index, (status, reason, grade) in done.items():
                rows[index] = _row(bench, active.pop(index), status, reason, grade)
    return [rows[index] for index in range(len(chosen))]


def _takes_tools(client: ChatClient) -> bool:
    while isinstance(client, Around):
        client = client.client
    return not isinstance(client, EmbeddedClient)


Ended = tuple[str, str, Grade | None]


def _round(
    active: Mapping[int, _Active],
    client: ChatClient,
    user: ChatClient | None,
    settings: Settings,
    seed: int,
    name: str,
    deadline: float | None,
    on_answer: Callable[[], None],
) -> dict[int, Ended]:
    """Asks what every episode wants next and hands it the answer; returns the episodes that ended."""
    ended: dict[int, Ended] = {}
    for who, target in (("model", client), ("user", user)):
        indices = [index for index, attempt in active.items() if attempt.ask.of == who and index not in ended]
        requests = {index: _request(active[index], settings, seed, name) for index in indices}
        for index in [index for index, request in requests.items() if who == "model" and not client.fits(request)]:
            del requests[index]
            ended[index] = _cut(active[index].episode)
        if not requests:
            continue
        if target is None:
            raise InputError(f"{name}: needs a model for its simulated user")
        late = deadline is not None and time.monotonic() > deadline
        answers = {} if late else answers_of(target, requests, on_answer, deadline)
        for index in requests:
            attempt, answer = active[index], answers.get(index)
            if answer is None:
                ended[index] = (NOT_RUN, "the budget ended first", None)
                continue
            if isinstance(answer, ChatRefusal):
                cut = who == "model" and answer.kind == "too_long"
                ended[index] = _cut(attempt.episode) if cut else (INFRASTRUCTURE, answer.reason, None)
                continue
            attempt.replies.append((who, answer))
            reply = Reply(answer.text, answer.reasoning, answer.tool_calls, answer.finish_reason)
            try:
                attempt.ask = attempt.episode.send(reply)
            except StopIteration as stop:
                grade: Grade = stop.value
                ended[index] = (grade.result.status.value, grade.result.reason, grade)
    return ended


def _limits(settings: Settings, context_policy: ContextPolicy) -> Options:
    """Of an agent's run."""
    return Options(
        max_steps=settings.max_steps,
        max_tokens=settings.context,
        context_tokens=settings.context - settings.max_tokens,
        context_policy=context_policy,
        output_window={"*": 16_000},
        parallel=1,
    )


def _cut(episode: Episode) -> Ended:
    """Ends an episode that doesn't fit the context; one with tools is judged by what it did so far."""
    try:
        episode.throw(ContextExceeded())
    except StopIteration as stop:
        grade: Grade = stop.value
        return grade.result.status.value, f"context full; {grade.result.reason}", grade
    except ContextExceeded:
        pass
    return Status.NO_ANSWER.value, "the prompt and its answer exceed the context", None


def _request(attempt: _Active, settings: Settings, seed: int, name: str) -> ChatRequest:
    sample = attempt.sample
    return ChatRequest(
        attempt.ask.messages,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature if attempt.ask.of == "model" else 0.0,
        top_p=settings.top_p,
        seed=seed32(seed, name, sample.id, sample.repeat, len(attempt.replies)),
        tools=attempt.ask.tools,
    )


def answers_of(
    client: ChatClient,
    requests: Mapping[int, ChatRequest],
    on_answer: Callable[[], None],
    deadline: float | None = None,
) -> dict[int, ChatAnswer]:
    """An answer, or a refusal, by key; keys are missing when the budget, or the time, ended first.

    Raises:
        ChatError: no request can be answered, or too many were refused.
    """
    answers: dict[int, ChatAnswer] = {}
    keys = list(requests)

    def arrived(index: int, answer: ChatAnswer) -> None:
        answers[keys[index]] = answer
        on_answer()
        if deadline is not None and time.monotonic() > deadline:
            raise BudgetExceeded("the deadline has passed")

    with contextlib.suppress(BudgetExceeded):
        client.complete([requests[key] for key in keys], arrived)
    return answers


def _redacted(text: str, secret: str) -> str:
    """`text` with every run of SHINGLE words that `secret` has too replaced."""
    words = re.findall(r"\w+", secret.lower())
    runs = {tuple(words[k : k + SHINGLE]) for k in range(len(words) - SHINGLE + 1)}
    spans = [(m.start(), m.end(), m.group().lower()) for m in re.finditer(r"\w+", text)]
    hidden: list[tuple[int, int]] = []
    for k in range(len(spans) - SHINGLE + 1):
        if tuple(word for _, _, word in spans[k : k + SHINGLE]) in runs:
            hidden.append((spans[k][0], spans[k + SHINGLE - 1][1]))
    for start, end in reversed(_merged(hidden)):
        text = f"{text[:start]}[quoted]{text[end:]}"
    return text


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _transcript(replies: Sequence[tuple[str, ChatResponse]]) -> str:
    """What was written: text, with thinking and calls where there are any; turns as a JSON list, a user's marked."""
    turns = []
    for who, reply in replies:
        parts = [
            "[user]" if who == "user" else "",
            f"<think>{reply.reasoning}</think>" if reply.reasoning else "",
            reply.text,
        ]
        if reply.tool_calls:
            parts.append(json.dumps([call["function"] for call in reply.tool_calls], ensure_ascii=False))
        turns.append("\n".join(part for part in parts if part))
    return turns[0] if len(turns) == 1 else json.dumps(turns, ensure_ascii=False) if turns else ""


def _finish(reasons: Sequence[str]) -> str:
    """How the last answer ended; `length` when any answer was cut off."""
    return "length" if "length" in reasons else reasons[-1] if reasons else ""


def _row(bench: Benchmark, attempt: _Active, status: str, reason: str, grade: Grade | None) -> dict[str, Any]:
    sample = attempt.sample
    prompt = "\n\n".join(str(message.get("content") or "") for message in sample.messages)
    own = [reply for who, reply in attempt.replies if who == "model"]
    output = _transcript(attempt.replies)
    extracted = grade.extracted if grade is not None else ""
    expected = json.dumps(sample.gold, ensure_ascii=False, sort_keys=True, default=str)
    if sample.secret:
        output, extracted = _redacted(output, prompt), _redacted(extracted, prompt)
        prompt = f"sha256:{hashlib.sha256(prompt.encode()).hexdigest()}"
    parts = dict(grade.parts) if grade is not None else {}
    if grade is not None and sample.tools:
        parts["calls"] = float(sum(len(reply.tool_calls) for reply in own))
    score = grade.result.score if grade is not None else 0.0 if status == Status.NO_ANSWER.value else None
    return {
        "benchmark": bench.name,
        "dataset": bench.manifest.name,
        "task_id": sample.id,
        "sample": sample.repeat,
        "group": sample.group,
        "prompt": prompt,
        "output": output,
        "extracted": extracted,
        "expected": expected,
        "score": score,
        "parts": json.dumps(parts, sort_keys=True),
        "status": status,
        "reason": reason,
        "finish_reason": _finish([reply.finish_reason for reply in own]),
        "output_tokens": sum(reply.completion_tokens for reply in own),
    }
