"""Teacher and judge as `params.yaml` names them, behind the store of answers, and how fast they go."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from agents.chat.losses import CountingClient
from agents.chat.open import open_client
from agents.chat.protocol import ChatAnswer, ChatRefusal
from agents.rephrase.judge import judge
from agents.rephrase.rewrite import Rephrasing, RewriteJob, RewriteOptions, rephrase
from stages.harness.endpoint import EndpointParams
from stages.harness.teacher import answer_store, endpoint_options
from stages.rephrase.params import RephraseParams


class Meter:
    """Tokens that teacher and judge read and wrote in this run, and how fast."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.read = self.written = self.asked = 0

    def add(self, answer: ChatAnswer) -> None:
        if answer.cached:
            return
        self.asked += 1
        if not isinstance(answer, ChatRefusal):
            self.read += answer.prompt_tokens
            self.written += answer.completion_tokens

    def note(self) -> str:
        seconds = max(time.monotonic() - self.started, 1e-9)
        return f"{self.written / seconds:,.0f} tokens/s"


def options(p: RephraseParams) -> RewriteOptions:
    return RewriteOptions(
        excerpt_tokens=p.excerpt_tokens,
        chunk_tokens=p.chunk_tokens,
        candidates=p.candidates,
        temperature=p.temperature,
        min_reworded=p.min_reworded,
        free=p.wording == "free",
        judged=bool(p.judge),
        chunk=p.fidelity.thresholds(),
        document=p.fidelity.thresholds(),
    )


@dataclass
class Models:
    """The teacher, and the judge where one is named."""

    teacher: CountingClient
    judge: CountingClient | None

    def close(self) -> None:
        """Raises ChatError when one of them answered nothing."""
        for client in self._clients():
            client.losses.close()

    @property
    def failed(self) -> int:
        return sum(client.losses.failed for client in self._clients())

    def line(self) -> str:
        """What got no answer, '' when all did."""
        return "; ".join(line for client in self._clients() if (line := client.losses.line()))

    def _clients(self) -> list[CountingClient]:
        return [self.teacher, *([self.judge] if self.judge else [])]


def open_models(p: RephraseParams, endpoint: EndpointParams, threads: int) -> Models:
    """Raises ChatError when there is no such teacher or judge."""
    torch.set_num_threads(1)
    options = endpoint_options(endpoint)
    tokenizer = Path(p.tokenizer) if p.tokenizer else None
    client = open_client(
        p.teacher, store=answer_store(), endpoint=options, tokenizer=tokenizer, rows=p.rows, workers=threads
    )
    return Models(client, open_client(p.judge, store=answer_store(), endpoint=options) if p.judge else None)


def work_on(
    wave: Sequence[RewriteJob],
    models: Models,
    options: RewriteOptions,
    on_answer: Callable[[ChatAnswer], None],
    on_verdict: Callable[[ChatAnswer], None],
) -> list[Rephrasing]:
    """The wave's texts; what the check accepts goes before the judge, whose verdict is the last.

    Args:
        on_answer: of the teacher, `n_answers` of them. on_verdict: two for each text that is judged.

    Raises:
        ChatError: no request can be answered.
    """
    done = rephrase(wave, models.teacher, options, on_answer)
    if models.judge is not None:
        accepted = [rephrasing for rephrasing in done if rephrasing.accepted]
        pairs = [(rephrasing.job.title, rephrasing.job.text, rephrasing.text) for rephrasing in accepted]
        for rephrasing, verdict in zip(accepted, judge(pairs, models.judge, on_verdict), strict=True):
            rephrasing.reason = verdict.reason
            rephrasing.judged = {"lost": verdict.lost, "new": verdict.new}
    return done
