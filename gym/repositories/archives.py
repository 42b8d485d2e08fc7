"""Pinned source distributions: fetched by pip, checked by their hash, read without being installed."""

import gzip
import hashlib
import io
import tarfile
import tempfile
from pathlib import Path

from gym.repositories.errors import RepositoryError
from gym.repositories.layout import belongs, check_size, code_files
from gym.repositories.packages import Package
from gym.repositories.pip import run_pip
from gym.repositories.project import Project


def fetch(package: Package, folder: Path) -> Path:
    """The package's archive in `folder`; one that lies there with the right hash is taken without a network.

    pip runs the package's own build code to read its metadata.

    Raises:
        RepositoryError: it can't be had, has another hash, or its metadata can't be built.
    """
    archive = folder / f"{package.name}-{package.version}.tar.gz"
    if archive.exists() and hashlib.sha256(archive.read_bytes()).hexdigest() == package.sha256:
        return archive
    folder.mkdir(parents=True, exist_ok=True)
    pinned = f"{package.name}=={package.version}"
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        command = ["download", "--no-binary", package.name, "--dest", fresh]
        run_pip(command, [f"{pinned} --hash=sha256:{package.sha256}"], pinned)
        found = next(Path(fresh).iterdir())
        if not found.name.endswith(".tar.gz"):
            raise RepositoryError(f"{pinned}: {found.name} is no .tar.gz")
        found.replace(archive)
    return archive


def read_archive(package: Package, archive: Path) -> Project:
    """The archive's content as a project, with metadata that `importlib.metadata` finds.

    Raises:
        RepositoryError: it is no such archive, holds an unsafe path, or lacks the code or tests that the table names.
    """
    name = f"{package.name}=={package.version}"
    members = unpack(archive, f"{name}: {archive.name}", links=True)
    files = {path: content for path, content in members.items() if belongs(path)}
    root = f"{package.roots[0]}/".lstrip("/")
    described = any(path.startswith(root) and _is_metadata(path.removeprefix(root)) for path in files)
    if not described and "PKG-INFO" in files:
        files[f"{root}{package.name.replace('-', '_')}-{package.version}.dist-info/METADATA"] = files["PKG-INFO"]
    check_size(name, sum(map(len, files.values())))
    code = code_files(files, package.code)
    if not code:
        raise RepositoryError(f"{name}: no code in {', '.join(package.code)}")
    for place in package.tests:
        if not any(path == place or path.startswith(f"{place}/") for path in files):
            raise RepositoryError(f"{name}: no tests in {place}")
    return Project(
        name=package.name,
        version=package.version,
        files=files,
        roots=package.roots,
        code=code,
        tests=package.tests,
        options=package.options,
        needs=package.needs,
        environment=package.environment,
        held=package.held,
    )


def _is_metadata(path: str) -> bool:
    folder, _, name = path.partition("/")
    return (folder.endswith(".egg-info") and name == "PKG-INFO") or (
        folder.endswith(".dist-info") and name == "METADATA"
    )


def unpack(archive: Path, what: str, *, links: bool) -> dict[str, bytes]:
    """Files by path below the archive's one folder; nothing touches the disk.

    Args:
        what: begins the line of an error.
        links: are followed inside the archive, else refused.

    Raises:
        RepositoryError: it is no such archive, or holds an unsafe path or a link that is refused.
    """
    files = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive.read_bytes()), mode="r:gz") as tar:
            for member in tar:
                linked = member.issym() or member.islnk()
                if linked and not links:
                    raise tarfile.TarError(f"{member.name} is a link")
                safe = tarfile.data_filter(member, "/unpacked")
                if safe.isfile() or linked:
                    held = tar.extractfile(safe)
                    _, _, path = safe.name.partition("/")
                    if held is not None and path:
                        files[path] = held.read()
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, KeyError) as error:
        raise RepositoryError(f"{what} can't be unpacked: {error}") from error
    return files
