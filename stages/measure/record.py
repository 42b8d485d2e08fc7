"""What the card of a model says about the stage that made it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from k2model.files import MANIFEST, sha256_file
from k2model.formats.model_card import DataSource, StageRecord
from k2model.formats.model_folder import read_provenance
from stages.harness.stage import Stage
from stages.harness.tables import CORPUS, read_batches

CORPUS_PATH = Path("data/corpus.parquet")


def records(
    stage: Stage[Any], start: Path, data: Sequence[DataSource], metrics: Mapping[str, float]
) -> list[StageRecord]:
    """The stages that made the model in `start`, and the present one that went on from it."""
    manifest = start / MANIFEST
    identity = f" (manifest {sha256_file(manifest)[:16]})" if manifest.exists() else ""
    before = read_provenance(start)
    origin = "" if before else ", whose origin and licence its own card has to tell"
    return [*before, StageRecord(stage.name, f"`{start.name}`{identity}{origin}", stage.shown, data, dict(metrics))]


def corpus_sources(path: Path = CORPUS_PATH) -> list[DataSource]:
    """The corpus' sources with their licences, and how many documents of each are trained on."""
    counts: Counter[tuple[str, str]] = Counter()
    for rows in read_batches(path, CORPUS, ("source", "license", "split")):
        counts.update((row["source"], row["license"]) for row in rows if row["split"] == "train")
    return [DataSource(source, licence, f"{n:,} documents") for (source, licence), n in sorted(counts.items())]


REPHRASED = DataSource(
    "rephrasings of these documents by the teacher of `rephrase`", "that of the document", "those that were accepted"
)


def made_here(name: str, amount: str) -> DataSource:
    """Data that programs of this project made."""
    return DataSource(name, "made by this project's programs, Apache-2.0", amount)
