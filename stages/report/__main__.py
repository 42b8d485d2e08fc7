"""`python -m stages.report`: one self-contained page of everything that was measured."""

import platform
from pathlib import Path

import torch

from stages.files import fingerprint, sha256_file, write_atomic
from stages.report import agentic, posttraining, sections
from stages.report.page import page
from stages.run import Stage
from stages.track import identity

OUT = Path("report/index.html")


def main() -> None:
    with Stage("report") as stage:
        root = stage.root
        tags = identity(root) | {
            "params.yaml": sha256_file(root / "params.yaml"),
            "parameters": fingerprint(stage.params.model_dump(mode="json")),
            "seed": str(stage.params.seed),
            "model": stage.params.model,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }
        parts = [
            sections.pipeline(root),
            sections.corpus(root),
            agentic.rephrasing(root),
            agentic.tools(root),
            agentic.trajectories(root),
            sections.pretraining(root),
            agentic.tuning(root),
            posttraining.reinforcement(root),
            posttraining.int4(root),
            sections.scores(root),
            posttraining.claims(root),
            sections.identity(tags),
        ]
        lead = "Text to model to scores, measured on this machine. Small models score near zero on hard benchmarks."
        with write_atomic(root / OUT) as tmp:
            tmp.write_text(page("K2 pipeline report", lead, parts), encoding="utf-8")
        stage.track.artifact(root / OUT)
        size = (root / OUT).stat().st_size
        stage.finish(f"{OUT}, {len(parts)} sections, {size / 1024:.0f} KiB", {"sections": len(parts)}, write=False)


if __name__ == "__main__":
    main()
