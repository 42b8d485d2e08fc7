"""A user's own repositories: a folder or anything that git can clone, with a pytest suite found by rule."""

import configparser
import os
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from gym.repositories.errors import RepositoryError
from gym.repositories.layout import TEST_FILES, belongs, check_size, code_files, is_test
from gym.repositories.project import Project

# Of a repository without `src`: Python that is not the product.
_ASIDE = {"build", "dist", "doc", "docs", "example", "examples", "benchmark", "benchmarks", "scripts", "tools"}
_ASIDE |= {"setup.py", "noxfile.py", "tasks.py"}
_OF_OTHERS = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}  # a hook that this runs in names its own repository
_REMOTE = re.compile(r"[a-z+]+://|[\w.-]+@[\w.-]+:")


@dataclass(frozen=True)
class _Suite:
    """What a repository's own settings say; empty where they say nothing."""

    paths: tuple[str, ...]
    patterns: tuple[str, ...]


def read_repository(source: str, work: Path, *, held: bool = False) -> Project:
    """A folder's files as they are now, in a git repository those that git does not ignore; or a fresh shallow clone.

    Args:
        source: a folder, a bare git repository, or an address for `git clone`.
        work: where clones are made and removed again.
        held: for evaluation alone.

    Raises:
        RepositoryError: it can't be read or cloned, or has no tests by pytest's rules, or no other Python code.
    """
    folder = Path(source)
    if _REMOTE.match(source) or (folder / "HEAD").is_file():
        work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=work) as fresh:
            clone = Path(fresh) / "clone"
            place = source if _REMOTE.match(source) else folder.resolve().as_uri()
            _git(source, "clone", "--quiet", "--depth", "1", "--", place, str(clone))
            version = _git(source, "rev-parse", "HEAD", folder=clone).decode().strip()
            files = _read(source, clone)
        name = source.rstrip("/").replace(":", "/").rpartition("/")[2].removesuffix(".git")
        return _project(name, version, files, held=held)
    if not folder.is_dir():
        raise RepositoryError(f"{source}: neither a folder nor an address that git clones")
    return _project(folder.resolve().name, "", _read(source, folder), held=held)


def _git(source: str, *words: str, folder: Path | None = None) -> bytes:
    """Standard output of a git command, run in `folder`, whose settings can't make it start a program."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_OTHERS}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    command = ["git", "-c", "core.fsmonitor=false", *words]
    try:
        done = subprocess.run(command, capture_output=True, check=False, env=environment, cwd=folder)
    except FileNotFoundError:
        raise RepositoryError(f"{source}: git is not installed") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = next((line for line in said if line.startswith("fatal:")), said[-1] if said else done.returncode)
        raise RepositoryError(f"{source}: git {words[0]} failed: {why}")
    return done.stdout


def _within_git(folder: Path) -> bool:
    """Whether it is a folder of a larger git repository, which does not ignore it."""
    if not any((above / ".git").exists() for above in folder.resolve().parents):
        return False
    try:
        return bool(_git(str(folder), "ls-files", "--cached", "--", ".", folder=folder))
    except RepositoryError:  # git is missing or refuses: it is read as a plain folder
        return False


def _read(source: str, folder: Path) -> dict[str, bytes]:
    """Regular files that belong to the repository; links only where they stay inside."""
    if (folder / ".git").exists() or _within_git(folder):
        listed = _git(source, "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder=folder)
        paths = sorted(set(os.fsdecode(listed).split("\0")) - {""})
    else:
        paths = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    inside = folder.resolve()
    places = {path: folder / path for path in filter(belongs, paths)}
    kept = {path: place for path, place in places.items() if place.is_file() and place.resolve().is_relative_to(inside)}
    check_size(source, sum(place.stat().st_size for place in kept.values()))
    return {path: place.read_bytes() for path, place in kept.items()}


def _pyproject(name: str, files: Mapping[str, bytes], *keys: str) -> dict[str, Any]:
    """A table of `pyproject.toml`; empty where it has none."""
    try:
        table = tomllib.loads(files.get("pyproject.toml", b"").decode("utf-8", "replace"))
    except tomllib.TOMLDecodeError as error:
        raise RepositoryError(f"{name}: pyproject.toml can't be read: {error}") from None
    for number, key in enumerate(keys, 1):
        table = table.get(key, {})
        if not isinstance(table, dict):
            raise RepositoryError(f"{name}: pyproject.toml can't be read: {'.'.join(keys[:number])} is no table")
    return table


def _settings(name: str, files: Mapping[str, bytes]) -> _Suite:
    """`testpaths` and `python_files` from the first file that pytest itself would take them from."""

    def words(value: object) -> tuple[str, ...]:
        return tuple(map(str, value)) if isinstance(value, list) else tuple(str(value or "").split())

    found: Mapping[str, object] = {}
    for path in ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"):
        if path not in files:
            continue
        if path == "pyproject.toml":
            found = _pyproject(name, files, "tool", "pytest", "ini_options")
        else:
            parser = configparser.RawConfigParser(strict=False)
            try:
                parser.read_string(files[path].decode("utf-8", "replace"))
            except configparser.Error as error:
                raise RepositoryError(f"{name}: {path} can't be read: {error.message.splitlines()[0]}") from None
            section = "tool:pytest" if path == "setup.cfg" else "pytest"
            found = dict(parser[section]) if section in parser else {}
        if found or path.endswith("pytest.ini"):
            break
    return _Suite(words(found.get("testpaths")), words(found.get("python_files")) or TEST_FILES)


def _metadata(name: str, files: Mapping[str, bytes], root: str) -> dict[str, bytes]:
    """What `importlib.metadata` finds of a package that is not installed; many ask for their own version."""
    project = _pyproject(name, files, "project")
    if "name" not in project:
        return {}
    version = str(project.get("version", "0"))  # others compute it when they are built
    folder = f"{str(project['name']).replace('-', '_')}-{version}.dist-info"
    text = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\n"
    return {f"{root}/{folder}/METADATA".lstrip("/"): text.encode()}


def _project(name: str, version: str, files: Mapping[str, bytes], *, held: bool) -> Project:
    suite = _settings(name, files)
    tests = _tests(files, suite)
    if not tests:
        raise RepositoryError(f"{name}: no pytest suite: no file named {' or '.join(suite.patterns)}")
    roots = ("src", "") if any(re.fullmatch(r"src/.+\.py", path) for path in files) else ("",)
    code = code_files(files, [roots[0]], suite.patterns)
    if not roots[0]:
        code = tuple(path for path in code if path.split("/")[0] not in _ASIDE and not path.startswith("."))
    if not code:
        raise RepositoryError(f"{name}: no Python code beside the tests")
    files = {**files, **_metadata(name, files, roots[0])}
    return Project(name=name, version=version, files=files, roots=roots, code=code, tests=tests, held=held)


def _tests(files: Mapping[str, bytes], suite: _Suite) -> tuple[str, ...]:
    """The paths that the settings name, or the topmost folders called `test` or `tests` and single files elsewhere."""
    found = [path for path in files if any(fnmatch(path.rpartition("/")[2], pattern) for pattern in suite.patterns)]
    if suite.paths:
        places = [place.removeprefix("./").rstrip("/") for place in suite.paths]
        return tuple(
            place for place in places if any(place in ("", ".") or f"{path}/".startswith(f"{place}/") for path in found)
        )
    tops = set()
    for path in found:
        parts = path.split("/")
        among = [number for number, part in enumerate(parts[:-1]) if is_test(f"{part}/x.py")]
        tops.add("/".join(parts[: among[0] + 1]) if among else path)
    return tuple(sorted(tops))
