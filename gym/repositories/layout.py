"""What in the tree of a repository is code, what is tests, and what never belongs to a task."""

from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import PurePosixPath

from gym.repositories.errors import RepositoryError

MEGABYTES = 50
TEST_FILES = ("test_*.py", "*_test.py")  # pytest's own rule
_TEST_FOLDERS = {"test", "tests"}
_FOLDERS = {".git", ".hg", ".svn", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".tox", ".nox"}
_FOLDERS |= {".venv", "venv", "node_modules"}
# Texts and settings meant for a coding agent: they would speak to ours in the name of the repository.
_FOLDERS |= {".claude", ".cursor", ".idea", ".windsurf", ".gemini"}
_NAMES = {"agents.md", "claude.md", "gemini.md", "copilot-instructions.md", "llms.txt", "llms-full.txt"}
_NAMES |= {".cursorrules", ".windsurfrules", ".ds_store"}


def belongs(path: str) -> bool:
    """Whether a file is part of the repository: no bytecode, history, cache, environment or text for agents."""
    *folders, name = path.lower().split("/")
    return not _FOLDERS.intersection(folders) and name not in _NAMES and not name.endswith((".pyc", ".pyo"))


def is_test(path: str, patterns: Iterable[str] = TEST_FILES) -> bool:
    """Whether a file is a test or lies among tests, `conftest.py` included."""
    *folders, name = path.split("/")
    among = not _TEST_FOLDERS.isdisjoint(folder.lower() for folder in folders)
    return among or name == "conftest.py" or any(fnmatch(name, pattern) for pattern in patterns)


def code_files(files: Iterable[str], code: Iterable[str], patterns: Iterable[str] = TEST_FILES) -> tuple[str, ...]:
    """Python files that are no tests, in the folders of `code` or named there; a folder "" is the whole repository."""
    places = [PurePosixPath(place) for place in code]
    patterns = tuple(patterns)
    return tuple(
        sorted(
            path
            for path in files
            if path.endswith(".py")
            and not is_test(path, patterns)
            and any(PurePosixPath(path).is_relative_to(place) for place in places)
        )
    )


def check_size(name: str, size: int) -> None:
    """
    Args:
        size: of all files together, in bytes.

    Raises:
        RepositoryError: more than 50 MB.
    """
    if size > MEGABYTES * 1_000_000:
        raise RepositoryError(f"{name}: {size // 1_000_000} MB of files; a repository may have {MEGABYTES}")
