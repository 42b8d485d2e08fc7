"""`python -m stages.report`: one self-contained page of everything that was measured, and a page a benchmark."""

import platform
from importlib.metadata import version
from pathlib import Path

from stages.harness.arguments import no_arguments
from stages.harness.files import fingerprint, sha256_file, write_atomic
from stages.harness.section import Section, load_yaml
from stages.harness.stage import Stage
from stages.report.agentic import tools, trajectories
from stages.report.claims import claims
from stages.report.comparison import comparison
from stages.report.corpus import corpus
from stages.report.effect import effect
from stages.report.evaluation import scores
from stages.report.graph import pipeline
from stages.report.language import language
from stages.report.overview import overview
from stages.report.page import Chapter, page, table
from stages.report.posttraining import int4, reinforcement
from stages.report.rephrasing import rephrasing
from stages.report.samples import FOLDER, write_pages
from stages.report.training import pretraining, tuning
from stages.tracking.runs import Track
from stages.tracking.store import identity

OUT = Path("report/index.html")
LEAD = "Text to model to scores, measured on this machine. Small models score near zero on hard benchmarks."
SECTIONS = (
    overview,
    pipeline,
    corpus,
    rephrasing,
    tools,
    trajectories,
    pretraining,
    tuning,
    effect,
    reinforcement,
    int4,
    language,
    scores,
    comparison,
    claims,
)


def identity_of(tags: dict[str, str]) -> Chapter:
    """What this page was made from."""
    rows = [[key, value] for key, value in tags.items()]
    return Chapter("identity", "Run identity", table(["what", "value"], rows), "Enough to make this run again.")


def build(root: Path, tags: dict[str, str]) -> str:
    """The whole page from what the stages left under `root`."""
    parts = [*(section(root) for section in SECTIONS), identity_of(tags)]
    return page("K2 pipeline report", LEAD, parts)


def main() -> None:
    with Stage("report", Section, Track) as stage:
        root = stage.root
        tags = identity(root) | {
            "params.yaml": sha256_file(root / "params.yaml"),
            "parameters": fingerprint(load_yaml()),
            "seed": str(stage.common.seed),
            "model": stage.common.model,
            "torch": version("torch"),
            "python": platform.python_version(),
        }
        with write_atomic(root / OUT) as tmp:
            tmp.write_text(build(root, tags), encoding="utf-8")
        with write_atomic(root / FOLDER) as tmp:
            tmp.mkdir(exist_ok=True)
            pages = write_pages(root, tmp, stage.common.seed)
        stage.track.artifact(root / OUT)
        stage.track.artifact(root / FOLDER)
        size, sections = (root / OUT).stat().st_size, len(SECTIONS) + 1
        line = f"{OUT}, {sections} sections, {size / 1024:.0f} KiB, {pages} pages of samples"
        stage.finish(line, {"sections": sections}, write=False)


if __name__ == "__main__":
    no_arguments("report")
    main()
