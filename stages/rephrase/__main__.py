"""`python -m stages.rephrase`: rephrasings of training documents, each checked against its source.

Documents are worked on in waves, and a wave is all that is in memory. Every answer of the teacher goes into a store by
content as it comes, so a killed run, and any later run that asks the same, continues where it stopped and gives the
same bytes.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents.chat.losses import listed
from agents.chat.protocol import ChatAnswer, ChatError
from agents.chat.redact import public_values
from agents.rephrase.rewrite import Rephrasing, n_answers
from stages.harness.arguments import no_arguments
from stages.harness.endpoint import EndpointParams
from stages.harness.errors import InputError
from stages.harness.files import write_atomic
from stages.harness.section import load_section
from stages.harness.stage import Stage
from stages.harness.tables import REPHRASED, write_batches
from stages.rephrase.asking import Meter, Models, open_models, options, work_on
from stages.rephrase.card import card
from stages.rephrase.jobs import CORPUS_FILE, choose, waves
from stages.rephrase.params import RephraseParams
from stages.rephrase.prompts import templates
from stages.rephrase.tally import Tally
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
        "judge": json.dumps(rephrasing.judged, ensure_ascii=False),
        **{f"score_{key}": float(value) for key, value in scores.items()},
    }


def main() -> None:
    with Stage("rephrase", RephraseParams, Track, system_metrics=True) as stage:
        p, seed = stage.params, stage.common.seed
        chosen = choose(CORPUS_FILE, p, seed)
        meter, tally = Meter(), Tally(seed)
        stage.track.prompts(templates(p))
        total = sum(n_answers(wave, options(p)) for wave in waves(CORPUS_FILE, chosen, p, seed))

        def rows(models: Models) -> Iterator[list[dict[str, Any]]]:
            with stage.progress(total, "answer") as progress:

                def answered(answer: ChatAnswer) -> None:
                    meter.add(answer)
                    progress.update(1, meter.note())

                for wave in waves(CORPUS_FILE, chosen, p, seed):
                    done = work_on(wave, models, options(p), answered, meter.add)
                    for rephrasing in done:
                        tally.add(rephrasing)
                    texts = tally.total("texts")
                    stage.log({"rephrase/texts": texts, "rephrase/tokens_written": meter.written}, texts)
                    stage.log({f"rephrase/{key}": value for key, value in tally.shares().items()}, texts)
                    yield [row(rephrasing) for rephrasing in done]
            models.close()

        try:
            models = open_models(p, load_section("endpoint", EndpointParams), stage.common.threads)
            write_batches(OUT, rows(models), REPHRASED)
        except ChatError as error:
            raise InputError(f"rephrase: {error}") from None
        shown = public_values(p.model_dump(mode="json"))
        with write_atomic(CARD) as tmp:
            tmp.write_text(card(tally, len(chosen), models.teacher.model, shown), encoding="utf-8")
        stage.track.artifact(CARD)
        metrics: dict[str, float] = {
            "documents": len(chosen),
            "texts": tally.total("texts"),
            "texts_accepted": tally.total("accepted"),
            "bytes_accepted": tally.total("bytes_accepted"),
            "texts_refused": len(tally.refused),
            "requests_failed": models.failed,
            **tally.shares(),
        }
        lost = models.line()
        if tally.refused:
            lost = f"{lost}, of {listed(tally.refused)}"
        stage.finish(
            f"{metrics['texts_accepted']:,} of {metrics['texts']:,} texts accepted from {len(chosen):,} documents, "
            f"{metrics['chunks_reworded']:.0%} of chunks reworded, {meter.written:,} new tokens, {meter.note()}"
            f"{'; ' if lost else ''}{lost}",
            metrics=metrics,
        )


if __name__ == "__main__":
    no_arguments("rephrase")
    main()
