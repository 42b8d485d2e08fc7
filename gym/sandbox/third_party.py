"""Where Python code lies that is not the standard library: what a sandbox with libraries of its own must hide."""

import functools
import os
import sys
import sysconfig
from collections.abc import Sequence

from gym.sandbox.job import SandboxError

TREES = ("/usr", "/bin", "/lib", "/lib64")
SITES = {"site-packages", "dist-packages"}
COPIES = SITES | {"_vendor", "_bundled", "python-wheels"}
CODE = (".py", ".pyc", ".pyi", ".pyx", ".pyd")
ARCHIVES = (".whl", ".egg", ".zip", ".pyz", ".pex", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
SHARED = {"bin", "include", "lib", "lib32", "lib64", "libexec", "local", "sbin", "share", "src"}
MOST = 3_000_000


@functools.cache
def hidden_places() -> list[str]:
    """Places to hide below every tree that a program may read, the standard library's among them.

    Raises:
        SandboxError: the trees hold too many files to search.
    """
    trees = [*TREES, sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), f"{sys.base_prefix}/lib"]
    roots = sorted({os.path.realpath(tree) for tree in trees if os.path.isdir(tree)})
    return search([root for root in roots if not any(root.startswith(f"{other}/") for other in roots)])


def search(roots: Sequence[str]) -> list[str]:
    """Folders and files of Python code below the roots, none inside of another.

    A folder named as one for installed or copied packages, one that holds mostly Python files, a package in a folder
    of other things, a single Python file, an archive. A standard library is told by `os.py` beside `encodings`; of it
    only installed packages and wheels are found.

    Raises:
        SandboxError: the roots hold too many files.
    """
    left = MOST
    found: list[str] = []
    for root in roots:
        folders, copies = [], []
        for folder, below, names in os.walk(root):
            left -= len(names) + 1
            if left < 0:
                raise SandboxError(f"{root}: over {MOST} files, too many to search for Python code that must be hidden")
            if os.path.basename(folder) in COPIES:
                copies.append(folder)
                below.clear()
            else:
                folders.append((folder, below, names))
        found += [*copies, *_loose(root, folders)]
    places: list[str] = []
    for path in sorted(found, key=lambda path: path.split("/")):
        if not places or not path.startswith(f"{places[-1]}/"):
            places.append(path)
    return places


def _loose(root: str, folders: list[tuple[str, list[str], list[str]]]) -> list[str]:
    """What is to hide of walked folders; each is weighed after those below it."""
    libraries = [folder for folder, below, names in folders if "os.py" in names and "encodings" in below]
    counts: dict[str, tuple[int, int]] = {}  # Python files, all files
    hidden: dict[str, list[str]] = {}
    for folder, below, names in reversed(folders):
        standard = any(folder == library or folder.startswith(f"{library}/") for library in libraries)
        ends = (".whl", ".egg") if standard else CODE + ARCHIVES
        code = [name for name in names if name.endswith(ends) and not os.path.islink(f"{folder}/{name}")]
        paths = [f"{folder}/{name}" for name in below]
        python = len(code) + sum(counts[path][0] for path in paths if path in counts)
        total = len(names) + sum(counts[path][1] for path in paths if path in counts)
        shared = folder == root or os.path.basename(folder) in SHARED or standard
        shared = shared or any(library.startswith(f"{folder}/") for library in libraries)
        counts[folder] = python, total
        if python and not shared and (2 * python >= total or "__init__.py" in names):
            hidden[folder] = [folder]
        else:
            hidden[folder] = [f"{folder}/{name}" for name in code]
            hidden[folder] += [place for path in paths for place in hidden.pop(path, [])]
    return hidden.get(root, [])
