from collections.abc import Iterator
from pathlib import Path

import pytest

from gym.sandbox import Sandbox, open_sandbox


@pytest.fixture(scope="session")
def box() -> Iterator[Sandbox]:
    with open_sandbox("fork", workers=2) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def spaces() -> Iterator[Sandbox]:
    with open_sandbox("namespaces", workers=1) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def rootfs_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the root file system of containers is kept: making it takes seconds."""
    return tmp_path_factory.mktemp("work")
