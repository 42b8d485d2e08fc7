"""The pipeline as DVC declares it, drawn: a box a stage with the time that it last took, an arrow a dependency."""

import html
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from stages.harness.section import load_yaml
from stages.report.files import read_json
from stages.report.page import Chapter

UNTIMED = {"inputs": "every time", "report": "this page"}
WIDTH, HEIGHT, GAP_X, GAP_Y = 104, 62, 22, 22
SECTIONS = {  # which section of the page shows a stage's result
    "inputs": "corpus",
    "corpus": "corpus",
    "tokenizer": "corpus",
    "tokens": "corpus",
    "rephrase": "rephrasing",
    "tools": "tools",
    "repositories": "trajectories",
    "trajectories": "trajectories",
    "base": "pretraining",
    "pretrain": "pretraining",
    "sft": "sft",
    "rl": "rl",
    "qat": "int4",
    "evaluate": "scores",
    "report": "identity",
}


def dependencies(stages: Mapping[str, Mapping[str, Any]]) -> dict[str, set[str]]:
    """Stage → the stages whose outputs it reads, without those that another one already needs."""
    made = {str(out): name for name, stage in stages.items() for out in _outs(stage)}
    needs = {
        name: {made[out] for dep in stage.get("deps", []) for out in _itself_and_above(dep) if out in made} - {name}
        for name, stage in stages.items()
    }

    def above(name: str) -> set[str]:
        return needs[name].union(*(above(need) for need in needs[name]))

    return {name: own - set().union(*(above(need) for need in own)) for name, own in needs.items()}


def _itself_and_above(path: str) -> list[str]:
    return [path, *(str(folder) for folder in PurePosixPath(path).parents)]


def _outs(stage: Mapping[str, Any]) -> list[str]:
    listed = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
    return [next(iter(out)) if isinstance(out, dict) else out for out in listed]


def duration(seconds: float) -> str:
    """Seconds as a person says them: 4.2 s, 58 s, 4 min 51 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60:02d} s"


def _columns(needs: Mapping[str, set[str]]) -> dict[str, int]:
    """How far right a stage stands: one more than the furthest that it needs."""
    columns: dict[str, int] = {}

    def column_of(name: str) -> int:
        if name not in columns:
            columns[name] = 1 + max((column_of(need) for need in needs[name]), default=-1)
        return columns[name]

    for name in needs:
        column_of(name)
    return columns


def draw(stages: Mapping[str, Mapping[str, Any]], timings: Mapping[str, float]) -> str:
    """The graph as inline SVG; each box links to the section of its stage."""
    needs = dependencies(stages)
    column = _columns(needs)
    rows: dict[int, int] = {}
    at: dict[str, tuple[int, int]] = {}
    for name in stages:
        row = rows.get(column[name], 0)
        rows[column[name]] = row + 1
        at[name] = column[name] * (WIDTH + GAP_X) + 1, row * (HEIGHT + GAP_Y) + 1
    total_width = (max(column.values()) + 1) * (WIDTH + GAP_X) - GAP_X + 2
    total_height = max(rows.values()) * (HEIGHT + GAP_Y) - GAP_Y + 2
    longest = max(timings.values(), default=0) or 1
    parts = [
        f'<svg class="dag" viewBox="0 0 {total_width} {total_height}" role="img" aria-label="graph of the stages">'
    ]
    for name, own in needs.items():
        for need in sorted(own):
            (x0, y0), (x1, y1) = at[need], at[name]
            x0, y0, y1 = x0 + WIDTH, y0 + HEIGHT // 2, y1 + HEIGHT // 2
            parts.append(f'<path class="edge" d="M{x0} {y0}C{x0 + GAP_X} {y0} {x1 - GAP_X} {y1} {x1} {y1}"/>')
    for name, stage in stages.items():
        x, y = at[name]
        took = duration(timings[name]) if name in timings else UNTIMED.get(name, "from the cache")
        bar = (WIDTH - 20) * timings.get(name, 0) / longest
        parts.append(
            f'<a href="#{SECTIONS.get(name, "pipeline")}"><title>{html.escape(stage.get("desc", name))}</title>'
            f'<rect class="node" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
            f'<text class="name" x="{x + 10}" y="{y + 22}">{html.escape(name)}</text>'
            f'<text class="time" x="{x + 10}" y="{y + 40}">{took}</text>'
            f'<rect class="bar" x="{x + 10}" y="{y + 49}" width="{bar:.1f}" height="4" rx="2"/></a>'
        )
    return f'<div class="scroll" tabindex="0">{"".join(parts)}</svg></div>'


def pipeline(root: Path) -> Chapter:
    """The graph with the seconds that each stage last took in this checkout."""
    stages = load_yaml(root / "dvc.yaml")["stages"]
    timings = {name: took for name, took in read_json(root / "work" / "timings.json").items() if name in stages}
    made = f"The stages that ran here took {duration(sum(timings.values()))} together. " if timings else ""
    lead = f"{made}An arrow means that one reads what another wrote; the bar is a stage's share of the longest."
    return Chapter("pipeline", "Pipeline", draw(stages, timings), lead)
