"""A Prefect server for the tests of one file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import prefect_api


@pytest.fixture(scope="module")
def api(smoke_checkout: Path) -> Iterator[str]:
    with prefect_api.server(smoke_checkout, {"PREFECT_HOME": str(smoke_checkout / ".prefect")}) as api:
        yield api
