"""A repository whose own tests run: its files, and how its tests are started."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Project:
    """Nothing of it is installed: it exists as these files alone.

    Attributes:
        name: of the distribution, or of the user's folder.
        version: as released; empty for a folder.
        files: content by relative path, without bytecode, `.git` and texts meant for agents; with a `*.dist-info` where
            the package asks for its own metadata.
        roots: folders that stand on `sys.path`, the repository itself as "".
        code: files that may hold a bug and that a repair may change, `.py` and no tests.
        tests: paths that pytest is given.
        options: further words of pytest's command line, such as `--ignore=tests/test_speed.py`.
        needs: pinned distributions beside pytest in the library folder.
        environment: variables of the tests.
        held: for evaluation alone.
    """

    name: str
    version: str
    files: Mapping[str, bytes]
    roots: tuple[str, ...]
    code: tuple[str, ...]
    tests: tuple[str, ...]
    options: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    held: bool = False

    @property
    def packages(self) -> tuple[str, ...]:
        """Names that its code is imported by, such as `toolz`: what a sandbox must not find anywhere else."""
        found = set()
        for path in self.code:
            root = max((root for root in self.roots if not root or path.startswith(f"{root}/")), key=len, default="")
            found.add(path.removeprefix(root).lstrip("/").split("/")[0].removesuffix(".py"))
        return tuple(sorted(found))

    def content(self) -> str:
        """sha256 over everything that decides what its tests say."""
        digest = hashlib.sha256()
        for path, content in sorted(self.files.items()):
            digest.update(json.dumps([path, hashlib.sha256(content).hexdigest()]).encode())
        digest.update(json.dumps([self.roots, self.tests, self.options, self.needs]).encode())
        return digest.hexdigest()
