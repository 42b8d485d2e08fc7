import pytest

from gym.sandbox import Box


@pytest.fixture(scope="session")
def box(toy_box: Box) -> Box:
    """The tests of this folder share one sandbox."""
    return toy_box
