"""A record of a stage's run that keeps how it was opened and ended, without MLflow."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class KeptRecord:
    def __init__(self, stage: str, root: Path, work: Path, params: Any, inputs: Mapping[str, str], **how: bool) -> None:
        self.inputs, self.how = inputs, how
        self.outs: Sequence[Path] | None = None

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None: ...

    def flush(self) -> None: ...

    def prompts(self, templates: Mapping[str, Any]) -> None: ...

    def artifact(self, path: Path) -> None:
        assert path.exists()

    def tag(self, key: str, value: str) -> None: ...

    def end(self, status: str, metrics: Mapping[str, float], outs: Sequence[Path] = ()) -> None:
        self.outs = outs
