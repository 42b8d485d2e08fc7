from pathlib import Path

import pytest

from tests.databases import tracked_in


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, with a store of runs."""
    tracked_in(tmp_path, monkeypatch)
    return Path()
