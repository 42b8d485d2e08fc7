"""What a model knows of held-out texts, by source, before training on the others and after it.

    python -m experiments.your_texts --before models/base --after models/pretrain

Of each source of `data/corpus.parquet` (your own are `user:NAME`) beginnings of held-out documents, the same for both
models: nats per token, and the change with the interval over documents. A source that training should leave as it is
stands beside yours.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from gym.intervals import bootstrap_mean
from k2model.errors import CheckpointError, ConfigError
from k2model.formats.int4_checkpoint import load_any
from k2model.formats.model_folder import folder_tokenizer
from stages.harness.errors import InputError
from stages.harness.section import load_common
from stages.measure.text_loss import CORPUS_PATH, loss_of, ranked_held


def held_by_source(per_source: int, characters: int, seed: int, path: Path = CORPUS_PATH) -> dict[str, list[str]]:
    """Beginnings of up to so many held-out documents of each source, drawn by a hash; sources with two or more.

    Raises:
        InputError: no source has two.
    """
    ranked: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for place, text, source in ranked_held(characters, seed, path):
        ranked[source].append((place, text))
    held = {source: [text for _, text in sorted(own)[:per_source]] for source, own in sorted(ranked.items())}
    found = {source: texts for source, texts in held.items() if len(texts) > 1}
    if not found:
        raise InputError(f"{path}: no source has two held-out documents (corpus.validation_fraction)")
    return found


def losses_of(folder: Path, texts: Sequence[str]) -> list[float]:
    """Nats per token of each text. Raises CheckpointError, ConfigError for a folder that is no model."""
    model = load_any(folder).eval()
    return loss_of(model, folder_tokenizer(folder), texts, model.config.max_position_embeddings).per_token


def lines(held: dict[str, list[str]], before: Sequence[float], after: Sequence[float], seed: int) -> list[str]:
    """The table; the losses are those of the sources' texts one after the other."""
    rows = [
        "| source | held-out documents | before | after | change, with 95 % over documents |",
        "|---|---|---|---|---|",
    ]
    at = 0
    for source, texts in held.items():
        own = slice(at, at + len(texts))
        at += len(texts)
        changes = [b - a for a, b in zip(before[own], after[own], strict=True)]
        low, high = bootstrap_mean(changes, seed)
        means = [sum(side[own]) / len(texts) for side in (before, after)]
        change = f"{sum(changes) / len(changes):+.3f} [{low:+.3f}, {high:+.3f}]"
        rows.append(f"| {source} | {len(texts)} | {means[0]:.3f} | {means[1]:.3f} | {change} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="a model folder")
    parser.add_argument("--after", type=Path, required=True, help="a model folder")
    parser.add_argument("--documents", type=int, default=40, help="of each source")
    parser.add_argument("--characters", type=int, default=2000, help="of each document, from its beginning")
    args = parser.parse_args()
    try:
        seed = load_common().seed
        held = held_by_source(args.documents, args.characters, seed)
        texts = [text for own in held.values() for text in own]
        before, after = losses_of(args.before, texts), losses_of(args.after, texts)
        print("\n".join(lines(held, before, after, seed)))
    except (InputError, CheckpointError, ConfigError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
