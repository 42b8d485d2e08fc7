"""A package of npm as files: what may hold a bug, what tests it, and the libraries of its tests."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gym.javascript.npm import Pinned, fetch
from gym.javascript.packages import Package
from gym.repositories.archives import unpack
from gym.repositories.errors import RepositoryError
from gym.repositories.layout import belongs, check_size

MODULES = "node_modules"
_BUILT = {"dist", "build", "benchmark", "benchmarks"}  # a second copy of the code, and what needs more libraries
_SCRIPTS = (".js", ".cjs")
_TEST = re.compile(rb"""\brequire\(['"]tape['"]\)""")


@dataclass(frozen=True)
class Project:
    """Nothing of it is installed: it exists as these files alone.

    Attributes:
        files: content by relative path, without what is built from the code.
        libraries: content of what its tests require, below `node_modules`.
        code: files that may hold a bug and that a repair may change.
        tests: files that use `tape`.
    """

    name: str
    version: str
    files: Mapping[str, bytes]
    libraries: Mapping[str, bytes]
    code: tuple[str, ...]
    tests: tuple[str, ...]


def read_project(package: Package, archives: Path) -> Project:
    """The pinned package and its libraries, fetched where they are not there yet.

    Raises:
        RepositoryError: one can't be had or unpacked, holds a link or an unsafe path, or lacks code or tests.
    """
    pinned = (package.pinned, *package.needs)
    paths = fetch(pinned, archives)
    name = f"{package.pinned.name}@{package.pinned.version}"
    files = {path: content for path, content in _members(package.pinned, paths[0]).items() if _kept(path)}
    libraries = {
        f"{MODULES}/{need.name}/{path}": content
        for need, archive in zip(package.needs, paths[1:], strict=True)
        for path, content in _members(need, archive).items()
        if path.endswith((*_SCRIPTS, ".json")) and not _below(path, ("test",))
    }
    check_size(name, sum(map(len, [*files.values(), *libraries.values()])))
    scripts = sorted(path for path in files if path.endswith(_SCRIPTS))
    code = tuple(path for path in scripts if _below(path, package.code))
    tests = tuple(path for path in scripts if _below(path, package.tests) and _TEST.search(files[path]))
    for what, found, places in (("code", code, package.code), ("tests", tests, package.tests)):
        if not found:
            raise RepositoryError(f"{name}: no {what} in {', '.join(places)}")
    return Project(package.pinned.name, package.pinned.version, files, libraries, code, tests)


def _below(path: str, places: Iterable[str]) -> bool:
    return any(PurePosixPath(path).is_relative_to(place) for place in places)


def _kept(path: str) -> bool:
    return belongs(path) and _BUILT.isdisjoint(path.split("/")) and not path.endswith(".min.js")


def _members(pinned: Pinned, archive: Path) -> dict[str, bytes]:
    return unpack(archive, f"{pinned.name}@{pinned.version}:", links=False)
