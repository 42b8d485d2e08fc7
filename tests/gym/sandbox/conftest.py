from collections.abc import Iterator

import pytest

from gym.sandbox import Sandbox, open_sandbox


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with open_sandbox("fork", workers=2) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def spaces() -> Iterator[Sandbox]:
    with open_sandbox("namespaces", workers=1) as sandbox:
        yield sandbox
