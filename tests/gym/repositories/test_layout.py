import pytest

from gym.repositories.errors import RepositoryError
from gym.repositories.layout import belongs, check_size, code_files, is_test


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("src/app.py", True),
        ("docs/agents.py", True),
        (".github/workflows/ci.yaml", True),
        ("tests/__pycache__/test_x.cpython-311.pyc", False),
        ("app.pyc", False),
        (".git/config", False),
        ("AGENTS.md", False),
        ("sub/Claude.md", False),
        (".claude/settings.json", False),
        (".github/copilot-instructions.md", False),
    ],
)
def test_what_belongs_to_a_repository(path: str, expected: bool) -> None:
    assert belongs(path) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("app/core.py", False),
        ("app/tests.py", False),
        ("app/testing/helpers.py", False),
        ("app/tests/helpers.py", True),
        ("test/common.py", True),
        ("app/test_tools.py", True),
        ("app/core_test.py", True),
        ("conftest.py", True),
    ],
)
def test_what_is_a_test(path: str, expected: bool) -> None:
    assert is_test(path) is expected


def test_code_is_python_in_the_named_places() -> None:
    files = ["app/a.py", "app/a.txt", "app/tests/test_a.py", "apple/b.py", "one.py", "setup.py"]
    assert code_files(files, ["app", "one.py"]) == ("app/a.py", "one.py")
    assert code_files(files, [""]) == ("app/a.py", "apple/b.py", "one.py", "setup.py")


def test_size_has_a_limit() -> None:
    check_size("small", 49_000_000)
    with pytest.raises(RepositoryError, match="large: 51 MB"):
        check_size("large", 51_000_000)
