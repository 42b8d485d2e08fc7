"""The report's section about benchmarks: ours with intervals, beside the published figures of K2."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from stages.report.charts import Interval, interval_chart
from stages.report.files import read_json
from stages.report.page import Chapter, Html, table
from stages.report.samples import page_of

OTHER = ("_majority_of_n", "arena_n")  # ends of metrics that are no number of questions
K2 = 2  # of the published models, the first ones: K2's, which have columns of their own
STEPS = {  # that text was read in: the last part of a metric, and in words
    "corpus": "corpus",
    "rephrased": "rephrased texts",
    "tokens": "tokens of pre-training",
    "trajectories": "trajectories",
    "facts": "facts of SFT",
    "rl": "tasks of RL",
}
LIMITS = {  # the last part of a metric, and in words
    "tokens_per_answer": "tokens per answer",
    "truncated_share": "answers cut at the limit",
    "needless_calls": "needless calls: a tool is called where none is needed",
    "surplus_calls": "surplus calls: more than the reference makes",
}
ONE_SHOT = "one_shot_minus_agentic"


def datasets(folder: Path) -> dict[str, str]:
    """Benchmark → the data set that was asked, as its samples name it."""
    by_benchmark: dict[str, str] = {}
    for path in sorted(folder.glob("*.parquet")):
        columns = pq.read_table(path, columns=["benchmark", "dataset"]).to_pydict()
        by_benchmark |= dict(zip(columns["benchmark"], columns["dataset"], strict=True))
    return by_benchmark


def published(root: Path) -> list[dict[str, Any]]:
    """Name, source and scores of published models, K2's first."""
    shown: list[dict[str, Any]] = read_json(root / "data" / "samples" / "comparison.json").get("published", [])
    return shown


def scored(metrics: Mapping[str, float]) -> list[str]:
    """The benchmarks that were asked."""
    return sorted(key.removesuffix("_n") for key in metrics if key.endswith("_n") and not key.endswith(OTHER))


def scores(root: Path) -> Chapter:
    """Every score with its interval, number of questions and truncated answers, beside K2-Instruct and K2 Thinking."""
    metrics = read_json(root / "metrics" / "scores.json")
    if not metrics:
        return Chapter("scores", "Scores", "<p>not run</p>")
    named, references = datasets(root / "data" / "samples"), published(root)[:K2]
    rows, drawn = [], []
    for name in scored(metrics):
        cells = [page_of(root, name), named.get(name, ""), "", "", f"{metrics[f'{name}_n']:,.0f}", ""]
        if name in metrics:
            value, low, high = metrics[name], metrics[f"{name}_ci_low"], metrics[f"{name}_ci_high"]
            cells[2:4] = [f"{value:.1%}", f"{low:.1%} – {high:.1%}"]
            refs = [(one["name"], 100 * one["scores"][name]) for one in references if name in one["scores"]]
            drawn.append(Interval(name, 100 * low, 100 * value, 100 * high, refs))
        else:
            cells[2:4] = ["not run", ""]
        if f"{name}_truncated" in metrics:
            cells[5] = f"{metrics[f'{name}_truncated']:,.0f}"
        figures = [f"{one['scores'][name]:.1%}" if name in one["scores"] else "" for one in references]
        rows.append([*cells, _contaminated(metrics, name), *figures])
    head = ["benchmark", "data set", "score", "95 % interval", "n", "cut off", "seen in training"]
    head += [one["name"].removesuffix(" (published)") for one in references]
    loss = f"{metrics['validation_loss']:.4f} nats per token, {metrics['validation_bits_per_byte']:.4f} bits per byte"
    counted = f"{metrics['validation_tokens']:,.0f} held-out tokens"
    chart = interval_chart("Scores with 95 % intervals; published: orange K2-Instruct, green K2 Thinking", drawn, "%")
    note = (
        "<p class='soft'>K2's columns are its published figures on the official data sets and settings. A built-in "
        "data set has a name of its own, and nothing published beside it. Seen in training: the share of all items of "
        "the set that have 13 words in a row in common with what a step of this pipeline read (a shorter question as a "
        "whole); what an open base saw before is not known.</p>"
    )
    numeric = [2, 3, 4, 5, *range(7, len(head))]
    body = f"<p>Validation loss: <b>{loss}</b> on {counted}.</p>{chart}{table(head, rows, numeric)}{note}"
    lead = "The official rules on this checkpoint. A model of this size is near zero on hard benchmarks."
    return Chapter("scores", "Scores", body + _arena(metrics) + _limits(metrics), lead)


def _contaminated(metrics: Mapping[str, float], name: str) -> str:
    """The steps that read items of the set, with the share of its items; empty where it was not measured."""
    found = {words: metrics.get(f"{name}_contaminated_{step}") for step, words in STEPS.items()}
    if all(share is None for share in found.values()):
        return ""
    return ", ".join(f"{words} {share:.1%}" for words, share in found.items() if share) or "none"


def _arena(metrics: Mapping[str, float]) -> str:
    """Whether the judge of the arena was fit to judge."""
    if "arena_settled" not in metrics:
        return ""
    agreed, pairs = metrics["arena_judge_agreement"], metrics["arena_judge_pairs"]
    verdict = "its ratings are settled" if metrics["arena_settled"] else "not settled: there are no ratings to read"
    return (
        f"<p>Arena: the judge named the better answer in both orders in {agreed:.0%} of {pairs:,.0f} planted pairs, "
        f"{metrics['arena_judge_first_place']:.0%} of its verdicts were for the first place; {verdict}.</p>"
    )


def _limits(metrics: Mapping[str, float]) -> str:
    """Known limits of K2's report, as they are here."""
    rows = []
    for name in scored(metrics):
        values = [metrics.get(f"{name}_{end}") for end in LIMITS]
        if any(value is not None for value in values):
            tokens, *shares = ("" if value is None else value for value in values)
            cells = [tokens if isinstance(tokens, str) else f"{tokens:,.1f}"]
            rows.append([name, *cells, *(share if isinstance(share, str) else f"{share:.1%}" for share in shares)])
    shown = table(["benchmark", *LIMITS.values()], rows, range(1, 5)) if rows else ""
    both = "not measured: repairs_python and repairs_python_agentless were not both asked"
    if ONE_SHOT in metrics:
        ends = (metrics[f"{ONE_SHOT}{end}"] for end in ("", "_ci_low", "_ci_high"))
        change, low, high = (f"{100 * value:+.1f}" for value in ends)
        both = f"{change} points ({low} – {high}) on {metrics[f'{ONE_SHOT}_items']:,.0f} bugs"
    told = Html(f"<p>Repairs in one answer less those of an agent: {both}.</p>")
    return f"<h3>Known limits of K2's report</h3>{shown}{told}" if rows else ""
