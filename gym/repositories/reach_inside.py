"""Runs inside a sandbox: looks for a project in everything that a program can read. Standard library only."""

import contextlib
import importlib.util
import io
import json
import os
import re
import stat
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

ARCHIVES = (".whl", ".egg", ".zip", ".pyz", ".pex")
TARS = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
PACKED = (*ARCHIVES, *TARS)
TEXTS = (".py", ".pyc", ".pyi", ".pyx", ".txt", ".md", ".rst", ".ipynb", ".orig", ".rej", ".patch")
OTHERS = ("/proc", "/sys")  # no files of anybody
LARGEST = 4 << 20
WORD = re.compile(rb"[A-Za-z_]\w{5,}")
MODULES = {*sys.stdlib_module_names, "test", "__pycache__"}
STARTS = "/ /usr /bin /lib /lib64 /etc /opt /home /root /srv /mnt /media /data /work /var /tmp /run /dev".split()


def trees() -> list[str]:
    """Every folder from which a search can start; those in another are left out."""
    mounts: list[str] = []
    with contextlib.suppress(OSError), open("/proc/self/mounts", encoding="utf-8") as handle:
        mounts = [line.split()[1] for line in handle]
    named = [part for value in os.environ.values() for part in value.split(":") if part.startswith("/")]
    places = [*STARTS, *sys.path, *mounts, *named, sys.prefix, sys.base_prefix, os.path.dirname(os.__file__)]
    parents = [os.path.abspath("/".join([".."] * count)) for count in range(1, 8)]
    folders = sorted({os.path.realpath(place) for place in [*places, *parents] if place and readable(place)})
    return [
        one for one in folders if not any(one.startswith(f"{other.rstrip('/')}/") for other in folders if other != one)
    ]


def readable(folder: str) -> bool:
    try:
        os.listdir(folder)
    except OSError:
        return False
    return True


def named(names: Iterable[str], packages: set[str], distribution: str, endings: tuple[str, ...]) -> Iterator[str]:
    """Those of the names in one folder or archive that a package or distribution has."""
    plain = re.sub(r"[-_.]+", "_", distribution).lower()
    for name in names:
        module = name.split(".")[0]
        if module in packages and (name == module or name.endswith((*endings, ".pyz", ".egg"))):
            yield name
            continue
        released = re.match(r"(.+?)-\d", name)
        if released and re.sub(r"[-_.]+", "_", released[1]).lower() == plain:
            yield name


class Search:
    def __init__(self, ask: dict[str, Any]) -> None:
        self.packages, self.distribution = set(ask["packages"]), ask["distribution"]
        self.endings = tuple(ask["endings"])
        self.texts = (*TEXTS, *self.endings)
        self.files = {path: {line.encode() for line in held} for path, held in ask["lines"].items()}
        self.words = {path: {word.encode() for word in held} for path, held in ask["words"].items()}
        self.all = set().union(*self.files.values())
        self.found: list[str] = []
        self.read: set[tuple[int, int]] = set()

    def content(self, data: bytes, place: str) -> None:
        """A copy by its lines, or of bytecode by its names and texts."""
        if place.endswith(".pyc"):
            words = WORD.findall(data)  # the type of the next value may be a letter that follows a word at once
            held, known, share = {*words, *(word[:-1] for word in words)}, self.words, 0.7
        else:
            held, known, share = self.all.intersection(map(bytes.strip, data.split(b"\n"))), self.files, 0.5
        for path, wanted in known.items() if held else ():
            if len(held & wanted) >= share * len(wanted):
                self.found.append(f"{place} is a copy of {path}")
                return

    def archive(self, data: bytes, place: str) -> None:
        members: dict[str, bytes] = {}
        try:
            if place.endswith(TARS):
                with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                    members = {one.name: held.read() for one in tar if (held := tar.extractfile(one)) is not None}
            else:
                with zipfile.ZipFile(io.BytesIO(data)) as packed:
                    members = {one: packed.read(one) for one in packed.namelist()}
        except (OSError, tarfile.TarError, zipfile.BadZipFile, KeyError, EOFError, ValueError):
            return
        for path, content in members.items():
            for name in named(path.split("/"), self.packages, self.distribution, self.endings):
                self.found.append(f"{place} holds {name}")
                return
            if path.endswith(self.texts):
                self.content(content, f"{place}/{path}")

    def folder(self, folder: str, below: list[str], names: list[str], *, standard: bool) -> None:
        for name in named([*below, *names], self.packages, self.distribution, self.endings):
            path = f"{folder}/{name}"
            if name not in below or holds_code(path, self.endings) or re.match(r".+-\d", name):
                self.found.append(path)
        for name in names:
            path = f"{folder}/{name}"
            text = name.endswith(self.texts)
            if not (text and not standard) and not name.endswith(PACKED):
                continue
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                new = (status.st_dev, status.st_ino) not in self.read
                self.read.add((status.st_dev, status.st_ino))
                if new and stat.S_ISREG(status.st_mode) and (status.st_size <= LARGEST or not text):
                    with open(path, "rb") as handle:
                        data = handle.read()
                    if text:
                        self.content(data, path)
                    else:
                        self.archive(data, path)


def holds_code(folder: str, endings: tuple[str, ...]) -> bool:
    code = tuple(ending for ending in endings if ending != ".pyi")  # stubs tell no answer
    return any(name.endswith(code) for _, _, names in os.walk(folder) for name in names)


def main() -> None:
    with open("ask.json", encoding="utf-8") as handle:
        ask = json.load(handle)
    own = sys.path.pop(0)
    os.remove("ask.json")
    search = Search(ask)
    for name in ask["packages"] if ".py" in ask["endings"] else ():
        spec = importlib.util.find_spec(name)
        if spec is not None:
            search.found.append(f"import {name} finds {spec.origin or spec.submodule_search_locations}")
    for tree in trees():
        libraries: list[str] = []  # the standard library's own modules, whose text needn't be looked at
        for folder, below, names in os.walk(tree):
            if folder == own:
                below.clear()
                continue
            if "os.py" in names and "encodings" in below:
                libraries.append(folder)
            modules = [folder[len(one) + 1 :].split("/")[0] for one in libraries if folder.startswith(f"{one}/")]
            standard = folder in libraries or any(module in MODULES for module in modules)
            search.folder(folder, below, names, standard=standard)
    print(json.dumps(search.found))


main()
