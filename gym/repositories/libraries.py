"""The library folder of a project: pytest and what the project needs, pinned, and nothing else to import.

It is kept as one tar that projects with equal needs share, and unpacked for as long as a sandbox shows it.
"""

import compileall
import hashlib
import importlib.metadata
import io
import json
import platform
import re
import shutil
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from py_compile import PycInvalidationMode

from gym.repositories.errors import RepositoryError
from gym.repositories.packages import tool
from gym.repositories.pip import run_pip
from gym.repositories.project import Project
from gym.repositories.reach import refuse_if_found
from gym.repositories.suite import PRELOAD
from gym.sandbox import LOCAL, Backend, Box, Job, SandboxError, Verdict

# What pip adds about its own run, with paths of this machine.
_OF_PIP = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
_FOUND = """
import importlib.util, sys
for name in sys.argv[1:]:
    found = importlib.util.find_spec(name)
    if found is not None:
        print(name, flush=True)
"""


def write_tar(path: Path, files: Mapping[str, bytes]) -> None:
    """Equal files give equal bytes: sorted, without owners and times. Written beside its place first, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    with tarfile.open(fresh, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    fresh.replace(path)


def read_tar(path: Path) -> dict[str, bytes]:
    """What `write_tar` wrote."""
    with tarfile.open(path, "r:") as tar:
        return {member.name: held.read() for member in tar if (held := tar.extractfile(member)) is not None}


def library_path(needs: Sequence[str], store: Path) -> Path:
    """Where the library of these needs lies in `store`: it differs between interpreters and kinds of machine."""
    kind = [platform.python_version(), sysconfig.get_platform(), *sorted(set(needs))]
    return store / f"{hashlib.sha256(json.dumps(kind).encode()).hexdigest()[:16]}.tar"


def library(needs: Sequence[str], store: Path) -> Path:
    """The tar of a library folder in `store`; made where it isn't there yet.

    What is installed beside this program in the pinned version is taken from there, so that pytest alone needs no
    registry; pip gets the rest.

    Args:
        needs: requirements with version and hashes, everything that they need themselves included.

    Raises:
        RepositoryError: one of them can't be had.
    """
    path = library_path(needs, store)
    if not path.exists():
        kept: dict[str, bytes] = {}
        missing = []
        for line in sorted(set(needs)):
            found = _installed(line)
            kept |= found
            if not found:
                missing.append(line)
        write_tar(path, kept | (_fetched(missing) if missing else {}))
    return path


def _installed(requirement: str) -> dict[str, bytes]:
    """Files of a distribution that is installed here in exactly this version; none where it isn't."""
    name, _, version = requirement.split()[0].partition("==")
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return {}
    if distribution.version != version:
        return {}
    # Scripts lie outside of the folder.
    files = [path for path in distribution.files or () if ".." not in path.parts and path.suffix != ".pyc"]
    return {str(path): Path(str(path.locate())).read_bytes() for path in files if path.name not in _OF_PIP}


def _fetched(requirements: Sequence[str]) -> dict[str, bytes]:
    """Raises RepositoryError."""
    with tempfile.TemporaryDirectory() as folder:
        names = ", ".join(line.split("==")[0] for line in requirements)
        run_pip(["install", "--quiet", "--no-compile", "--target", folder], requirements, f"libraries {names}")
        shutil.rmtree(Path(folder) / "bin", ignore_errors=True)
        places = {str(place.relative_to(folder)): place for place in Path(folder).rglob("*") if place.is_file()}
        return {name: place.read_bytes() for name, place in places.items() if place.name not in _OF_PIP}


def _compile(folder: str) -> None:
    """Bytecode for this interpreter, so that each start of pytest in the sandbox takes a third of a second less."""
    rarely = re.compile(r"/pygments/")  # more code than all the rest, and imported for colours alone
    compileall.compile_dir(folder, quiet=2, rx=rarely, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)


def needed(project: Project, tools: Sequence[str] = ("pytest",)) -> list[str]:
    """Requirements of its library folder: its own needs and those of the tools, which `packages.yaml` names."""
    return [*project.needs, *(line for name in tools for line in tool(name))]


@contextmanager
def open_project(
    project: Project,
    store: Path,
    workers: int = 2,
    *,
    tools: Sequence[str] = ("pytest",),
    backend: Backend = LOCAL,
) -> Iterator[Box]:
    """A sandbox with the project's library folder and nothing else to import; pytest is loaded already.

    Args:
        store: folder of library tars.
        tools: of `packages.yaml`, that lie in the folder beside the project's needs.
        backend: where the sandbox is.

    Raises:
        RepositoryError: a library can't be had, or the project's own name can be imported without its files: its
            tests could pass on another copy.
        SandboxError: the sandbox can't be opened, or the project can be read in it before its tree is there.
    """
    packed = library(needed(project, tools), store)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with tarfile.open(packed, "r:") as tar:
            tar.extractall(folder, filter="data")
        _compile(folder)
        with backend.open(Path(folder), preload=PRELOAD, workers=workers) as box:
            found = box.run(Job(source=_FOUND, args=project.packages))
            if found.verdict is not Verdict.OK:
                raise SandboxError(f"{project.name}: {found.detail}")
            if found.stdout:
                raise RepositoryError(f"{project.name}: can be imported without it: {', '.join(found.stdout.split())}")
            refuse_if_found(box, project)
            yield box
