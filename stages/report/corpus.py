"""The report's section about text: documents, tokenizer, shards."""

from pathlib import Path

from stages.report.files import number, read_json
from stages.report.page import Chapter, table

LABELS = {
    "documents": "documents",
    "bytes": "bytes of text",
    "dropped_beyond": "dropped: beyond max_docs_per_source",
    "dropped_exact": "dropped: exact duplicates",
    "dropped_near": "dropped: near duplicates",
    "dropped_short": "dropped: too short",
    "facts": "closed-book facts",
    "vocab_size": "tokens in the vocabulary",
    "bytes_per_token": "bytes per token on held-out text",
    "train_documents": "training documents",
    "train_tokens": "training tokens",
    "rephrased_documents": "of them rephrased",
    "validation_documents": "held-out documents",
    "validation_tokens": "held-out tokens",
    "shards": "shards",
    "benchmark_tool_names": "names of benchmarks' functions that no conversation may declare",
}


def corpus(root: Path) -> Chapter:
    """What the data cards say, in numbers; documents that a benchmark's text overlaps stand by the benchmark's name."""
    metrics: dict[str, float] = {}
    for stage in ("corpus", "tokenizer", "tokens"):
        metrics |= read_json(root / "metrics" / f"{stage}.json")
    if not metrics:
        return Chapter("corpus", "Corpus", "<p>not run</p>")
    for stage, words in (("sft", "trajectories and demonstrations"), ("rl", "tasks and trajectories")):
        left = read_json(root / "metrics" / f"{stage}.json").get("overlapping")
        if left is not None:
            metrics[f"{stage.upper()}: {words} left out, a benchmark has their text"] = left
    named = [(LABELS[key], metrics.pop(key)) for key in LABELS if key in metrics]
    rest = [(_overlap(key), value) for key, value in sorted(metrics.items())]
    rows = [[name, number(value)] for name, value in [*named, *rest]]
    lead = "Real, licensed text, cleaned and split by document; what overlaps a benchmark is left out and counted."
    return Chapter("corpus", "Corpus", table(["measure", "value"], rows, [1]), lead)


def _overlap(key: str) -> str:
    name = key.removeprefix("overlap_")
    return key.replace("_", " ") if name == key else f"left out: overlaps {name}"
