"""`python -m stages.rephrase`: rephrasings of training documents, each checked against its source.

Documents are worked on in waves. Every answer of the teacher goes into a store by content as it comes, so a killed
run, and any later run that asks the same, continues where it stopped and gives the same bytes.
"""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from agents.chat.endpoint import EndpointOptions
from agents.chat.open import open_client
from agents.chat.protocol import ChatError, ChatResponse
from agents.rephrase.rewrite import Options, Rephrasing, n_answers, rephrase
from stages.errors import InputError
from stages.files import write_atomic
from stages.rephrase.card import card, shares
from stages.rephrase.jobs import choose_documents, make_jobs
from stages.rephrase.params import RephraseParams
from stages.run import Stage
from stages.schemas import CORPUS, REPHRASED, read_table, write_table
from stages.teacher import answer_store

OUT = Path("data/rephrased.parquet")
CARD = Path("data/rephrased_card.md")


class Meter:
    """Tokens that the teacher read and wrote in this run, and how fast."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.read = self.written = self.asked = 0

    def add(self, answer: ChatResponse) -> None:
        if not answer.cached:
            self.read += answer.prompt_tokens
            self.written += answer.completion_tokens
            self.asked += 1

    def note(self) -> str:
        seconds = max(time.monotonic() - self.started, 1e-9)
        return f"{self.written / seconds:,.0f} tokens/s"


def options(p: RephraseParams) -> Options:
    return Options(
        excerpt_tokens=p.excerpt_tokens,
        chunk_tokens=p.chunk_tokens,
        candidates=p.candidates,
        temperature=p.temperature,
        min_reworded=p.min_reworded,
        chunk=p.fidelity.thresholds(),
        document=p.fidelity.thresholds(),
    )


def row(one: Rephrasing) -> dict[str, Any]:
    scores = asdict(one.scores)
    return {
        "doc_id": one.job.doc_id,
        "version": one.job.version,
        "style": one.job.style,
        "perspective": one.job.perspective,
        "text": one.text,
        "accepted": one.accepted,
        "reason": one.reason,
        "chunks": len(one.chosen),
        "chunks_reworded": sum(k >= 0 for k in one.chosen),
        "candidates": len(one.candidates),
        "candidates_passed": sum(not c.reason for c in one.candidates),
        "lineage": json.dumps(one.chosen),
        **{f"score_{key}": float(value) for key, value in scores.items()},
    }


def main() -> None:
    with Stage("rephrase", system_metrics=True) as stage:
        p, seed = stage.params.rephrase, stage.params.seed
        torch.set_num_threads(1)
        chosen = choose_documents(read_table(Path("data/corpus.parquet"), CORPUS).to_pylist(), p, seed)
        if not chosen:
            raise InputError(
                f"rephrase.sources, rephrase.max_document_chars: no training document of {', '.join(p.sources)} has at"
                f" most {p.max_document_chars} characters"
            )
        jobs = make_jobs(chosen, p, seed)
        meter = Meter()
        done: list[Rephrasing] = []
        try:
            client = open_client(
                p.teacher,
                store=answer_store(),
                endpoint=EndpointOptions(**p.endpoint.model_dump()),
                tokenizer=Path(p.tokenizer) if p.tokenizer else None,
                rows=p.rows,
                workers=stage.params.threads,
            )
            with stage.progress(n_answers(jobs, options(p)), "answer") as progress:

                def answered(answer: ChatResponse) -> None:
                    meter.add(answer)
                    progress.update(1, meter.note())

                for at in range(0, len(jobs), p.wave):
                    done += rephrase(jobs[at : at + p.wave], client, options(p), answered)
                    stage.log({"rephrase/texts": len(done), "rephrase/tokens_written": meter.written}, len(done))
                    stage.log({f"rephrase/{key}": value for key, value in shares(done).items()}, len(done))
        except ChatError as error:
            raise InputError(f"rephrase.teacher: {error}") from None
        write_table(OUT, [row(one) for one in done], REPHRASED)
        with write_atomic(CARD) as tmp:
            tmp.write_text(card(done, client.model, p.model_dump(mode="json")), encoding="utf-8")
        stage.track.artifact(CARD)
        accepted = [one for one in done if one.accepted]
        metrics: dict[str, float] = {
            "documents": len(chosen),
            "texts": len(done),
            "texts_accepted": len(accepted),
            "bytes_accepted": sum(len(one.text.encode()) for one in accepted),
            **shares(done),
        }
        stage.finish(
            f"{len(accepted):,} of {len(done):,} texts accepted from {len(chosen):,} documents, "
            f"{metrics['chunks_reworded']:.0%} of chunks reworded, {meter.written:,} new tokens, {meter.note()}",
            metrics=metrics,
        )


if __name__ == "__main__":
    main()
