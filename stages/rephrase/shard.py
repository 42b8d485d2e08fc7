"""`python -m stages.rephrase.shard 0 4`: asks the teacher what documents 0, 4, 8, … of the stage need, and no more.

The answers go into the store (`K2_ANSWERS`, else `work/answers.sqlite`), which the processes of one machine share; a
killed shard goes on where it stopped. Once all shards are done, `dvc repro rephrase` asks nothing: it assembles.
Machines without a common disk fill stores of their own, which `python -m agents.chat.store INTO FROM...` unites.
"""

import argparse
import sys

from agents.chat.protocol import ChatAnswer, ChatError
from agents.rephrase.rewrite import n_answers
from k2model.errors import CheckpointError, ConfigError
from stages.harness.endpoint import EndpointParams
from stages.harness.errors import InputError
from stages.harness.progress import Progress
from stages.harness.section import load_common, load_section
from stages.rephrase.asking import Meter, open_models, options, work_on
from stages.rephrase.jobs import CORPUS_FILE, choose, waves
from stages.rephrase.params import RephraseParams


def fill(shard: int, shards: int) -> tuple[Meter, str]:
    """Asks for one shard; returns what was asked, and what of it got no answer.

    Raises:
        InputError: no such shard, no documents, no such teacher.
    """
    if not 0 <= shard < shards:
        raise InputError(f"shard {shard} of {shards}: shards count from 0")
    p, common = load_section("rephrase", RephraseParams), load_common()
    seed, chosen = common.seed, choose(CORPUS_FILE, p, common.seed)
    total = sum(n_answers(wave, options(p)) for wave in waves(CORPUS_FILE, chosen, p, seed, shard, shards))
    meter = Meter()
    try:
        models = open_models(p, load_section("endpoint", EndpointParams), common.threads)
        with Progress(f"rephrase shard {shard}/{shards}", total, "answer") as progress:

            def answered(answer: ChatAnswer) -> None:
                meter.add(answer)
                progress.update(1, meter.note())

            for wave in waves(CORPUS_FILE, chosen, p, seed, shard, shards):
                work_on(wave, models, options(p), answered, meter.add)
        models.close()
    except ChatError as error:
        raise InputError(f"rephrase: {error}") from None
    return meter, models.line()


def main() -> None:
    parser = argparse.ArgumentParser(description="Fills the answer store for one shard of the documents.")
    parser.add_argument("shard", type=int, help="from 0")
    parser.add_argument("shards", type=int)
    args = parser.parse_args()
    try:
        meter, line = fill(args.shard, args.shards)
    except (InputError, ConfigError, CheckpointError) as error:
        print(f"rephrase shard: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    lost = f"; {line}" if line else ""
    print(f"rephrase shard {args.shard}/{args.shards}: {meter.asked:,} new answers, {meter.note()}{lost}", flush=True)


if __name__ == "__main__":
    main()
