"""The teacher as `params.yaml` names it, behind the store of answers, and how fast it goes."""

import time
from pathlib import Path

import torch

from agents.chat.losses import CountingClient
from agents.chat.open import open_client
from agents.chat.protocol import ChatAnswer, ChatRefusal
from agents.rephrase.rewrite import RewriteOptions
from stages.harness.endpoint import EndpointParams
from stages.harness.teacher import answer_store, endpoint_options
from stages.rephrase.params import RephraseParams


class Meter:
    """Tokens that the teacher read and wrote in this run, and how fast."""

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
        chunk=p.fidelity.thresholds(),
        document=p.fidelity.thresholds(),
    )


def teacher(p: RephraseParams, endpoint: EndpointParams, threads: int) -> CountingClient:
    """Raises ChatError when there is no such teacher."""
    torch.set_num_threads(1)
    return open_client(
        p.teacher,
        store=answer_store(),
        endpoint=endpoint_options(endpoint),
        tokenizer=Path(p.tokenizer) if p.tokenizer else None,
        rows=p.rows,
        workers=threads,
    )
