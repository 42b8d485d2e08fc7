"""`python -m stages.rephrase`: rephrasings of training documents, each checked against its source.

Documents are worked on in waves. Every answer of the teacher goes into a store by content as it comes, so a killed
run, and any later run that asks the same, continues where it stopped and gives the same bytes.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents.chat.losses import listed
from agents.chat.protocol import ChatAnswer, ChatError
from agents.chat.redact import public_values
from agents.rephrase.rewrite import Rephrasing, n_answers, rephrase
from agents.rephrase.styles import STYLES, Perspective, ask, shots
from stages.harness.endpoint import EndpointParams
from stages.harness.errors import InputError
from stages.harness.files import write_atomic
from stages.harness.section import load_section
from stages.harness.stage import Stage
from stages.harness.tables import REPHRASED, write_table
from stages.rephrase.asking import Meter, options, teacher
from stages.rephrase.card import card, shares
from stages.rephrase.jobs import load_documents, make_jobs
from stages.rephrase.params import RephraseParams
from stages.tracking.runs import Track

OUT = Path("data/rephrased.parquet")
CARD = Path("data/rephrased_card.md")


def row(rephrasing: Rephrasing) -> dict[str, Any]:
    scores = asdict(rephrasing.scores)
    return {
        "doc_id": rephrasing.job.doc_id,
        "version": rephrasing.job.version,
        "style": rephrasing.job.style,
        "perspective": rephrasing.job.perspective,
        "text": rephrasing.text,
        "accepted": rephrasing.accepted,
        "reason": rephrasing.reason,
        "chunks": len(rephrasing.chosen),
        "chunks_reworded": sum(k >= 0 for k in rephrasing.chosen),
        "candidates": len(rephrasing.candidates),
        "candidates_passed": sum(not c.reason for c in rephrasing.candidates),
        "lineage": json.dumps(rephrasing.chosen),
        **{f"score_{key}": float(value) for key, value in scores.items()},
    }


def main() -> None:
    with Stage("rephrase", RephraseParams, Track, system_metrics=True) as stage:
        p, seed = stage.params, stage.common.seed
        asked = {"role": "user", "content": ask(Perspective("", "{{voice}}", "", ""), "{{topic}}", "{{passage}}")}
        stage.track.prompts({f"teacher-{name}": [*shots(STYLES[name]), asked] for name in p.styles})
        chosen = load_documents(p, seed)
        jobs = make_jobs(chosen, p, seed)
        meter = Meter()
        done: list[Rephrasing] = []
        try:
            client = teacher(p, load_section("endpoint", EndpointParams), stage.common.threads)
            with stage.progress(n_answers(jobs, options(p)), "answer") as progress:

                def answered(answer: ChatAnswer) -> None:
                    meter.add(answer)
                    progress.update(1, meter.note())

                for at in range(0, len(jobs), p.wave):
                    done += rephrase(jobs[at : at + p.wave], client, options(p), answered)
                    stage.log({"rephrase/texts": len(done), "rephrase/tokens_written": meter.written}, len(done))
                    stage.log({f"rephrase/{key}": value for key, value in shares(done).items()}, len(done))
            client.losses.close()
        except ChatError as error:
            raise InputError(f"rephrase.teacher: {error}") from None
        write_table(OUT, [row(rephrasing) for rephrasing in done], REPHRASED)
        with write_atomic(CARD) as tmp:
            tmp.write_text(card(done, client.model, public_values(p.model_dump(mode="json"))), encoding="utf-8")
        stage.track.artifact(CARD)
        accepted = [rephrasing for rephrasing in done if rephrasing.accepted]
        refused = [rephrasing.job.doc_id for rephrasing in done if rephrasing.refused]
        metrics: dict[str, float] = {
            "documents": len(chosen),
            "texts": len(done),
            "texts_accepted": len(accepted),
            "bytes_accepted": sum(len(rephrasing.text.encode()) for rephrasing in accepted),
            "texts_refused": len(refused),
            "requests_failed": client.losses.failed,
            **shares(done),
        }
        lost = f"{client.losses.line()}, of {listed(refused)}" if refused else client.losses.line()
        stage.finish(
            f"{len(accepted):,} of {len(done):,} texts accepted from {len(chosen):,} documents, "
            f"{metrics['chunks_reworded']:.0%} of chunks reworded, {meter.written:,} new tokens, {meter.note()}"
            f"{'; ' if lost else ''}{lost}",
            metrics=metrics,
        )


if __name__ == "__main__":
    main()
