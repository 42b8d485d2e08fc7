"""A root file system of this machine's own interpreter, its standard library and a few programs: no registry is asked.

Packages are not in it: a sandbox's library folder stands in the place of the empty site-packages.
"""

import contextlib
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gym.sandbox.job import SandboxError

PROGRAMS = """
    sh bash env cat cp mv rm ls ln mkdir rmdir touch chmod head tail wc sort uniq cut tr tee seq date sleep true false
    echo printf test pwd basename dirname realpath readlink stat du df id expr yes nl paste comm join fold tac od split
    sha256sum md5sum base64 mktemp timeout nproc xargs find grep egrep fgrep sed awk mawk diff cmp patch tar gzip gunzip
    make git file less which [
""".split()
LEFT_OUT = set("__pycache__ site-packages test tests idlelib tkinter turtledemo ensurepip".split())
ZONES = Path("/usr/share/zoneinfo")
FOLDERS = (
    "sandbox/box",
    "dev",
    "etc",
    "proc",
    "run",
    "sys",
    "tmp",
    "usr/bin",
    "usr/lib",
    "usr/lib64",
    "usr/local/bin",
    "var/tmp",
)
LINKS = {"bin": "usr/bin", "sbin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "usr/local/bin/python": "python3"}
TEXTS = {
    "etc/passwd": "root:x:0:0:root:/:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/hostname": "sandbox\n",
    "etc/resolv.conf": "",
    "run/.containerenv": "",
}
_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


def _python() -> Iterator[tuple[str, Path]]:
    """The interpreter and its standard library, without tests, below /usr/local."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    yield f"usr/local/bin/{name}", Path(os.path.realpath(sys.executable))
    library = Path(sysconfig.get_path("stdlib"))
    for folder, below, names in os.walk(library):
        below[:] = sorted(one for one in below if one not in LEFT_OUT and not one.startswith("config-"))
        inside = Path(folder).relative_to(library)
        for one in sorted(names):
            yield f"usr/local/lib/{name}/{inside / one}", Path(folder, one)


def _libraries(programs: list[Path]) -> Iterator[tuple[str, Path]]:
    """What the dynamic loader needs for the programs, where it looks for them."""
    said = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    for path in sorted({os.path.normpath(found) for found in _LIBRARY.findall(said)}):
        usual = re.match(r"/(?:usr/)?(lib(?:64)?)/(?:[^/]+/)*[^/]+$", path)
        target = f"usr/{path.removeprefix('/usr').lstrip('/')}" if usual else f"usr/lib/{os.path.basename(path)}"
        yield target, Path(os.path.realpath(path))


def sources() -> dict[str, Path]:
    """Files of this machine by their place in the root file system."""
    files = dict(_python())
    for name in PROGRAMS:
        found = shutil.which(name, path="/usr/bin:/bin:/usr/local/bin")
        if found:
            files[f"usr/bin/{name}"] = Path(os.path.realpath(found))
    files |= dict(_libraries([path for path in files.values() if os.access(path, os.X_OK) or ".so" in path.name]))
    for folder, below, names in os.walk(ZONES):
        below[:] = sorted(name for name in below if name not in ("posix", "right"))
        files |= {f"{folder.lstrip('/')}/{name}": Path(folder, name) for name in sorted(names)}
    return files


def key_of(files: dict[str, Path]) -> str:
    """A name for the content."""
    digest = hashlib.sha256(Path(__file__).read_bytes())  # it says what is written beside the files
    for target, path in sorted(files.items()):
        digest.update(f"{target} {hashlib.sha256(path.read_bytes()).hexdigest()} {os.access(path, os.X_OK)}".encode())
    return digest.hexdigest()[:16]


def build(folder: Path, files: dict[str, Path]) -> None:
    """Writes the root file system, with the standard library compiled."""
    library = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for name in (*FOLDERS, f"usr/local/lib/{library}/site-packages"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for target, path in sorted(files.items()):
        place = folder / target
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
        place.chmod(0o755 if os.access(path, os.X_OK) else 0o644)
    for name, target in {**LINKS, "usr/local/bin/python3": library}.items():
        (folder / name).symlink_to(target)
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    compiled = subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "-s", str(folder), "-p", "/", "--invalidation-mode",
         "unchecked-hash", str(folder / "usr/local/lib" / library)],
        capture_output=True, text=True, check=False, cwd=folder, env={"PYTHONHASHSEED": "0"},
    )  # fmt: skip
    if compiled.returncode:
        raise SandboxError(f"root file system: {compiled.stdout.strip()[-300:]}")
    for root, _, names in os.walk(folder):
        os.chmod(root, 0o1777 if root == str(folder / "sandbox/box") else 0o755)  # a mount there takes the mode over
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.utime(os.path.join(root, name), (0, 0), follow_symlinks=False)


def root_folder(work: Path) -> Path:
    """The root file system as a folder below `work`, built when its content is a new one.

    Raises:
        SandboxError: this machine's Python can't be copied.
    """
    files = sources()
    folder = work.absolute() / f"rootfs-{key_of(files)}"
    if not folder.exists():
        work.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix="rootfs-", suffix=".new", dir=work.absolute()))
        try:
            build(made, files)
            with contextlib.suppress(FileExistsError, OSError):  # another process was first
                made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return folder


def write_tar(folder: Path, out: Path) -> None:
    """The folder as a tar file; equal folders give equal bytes."""
    with out.open("wb") as raw, tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            entry = archive.gettarinfo(path, path.relative_to(folder).as_posix())
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = 0
            if entry.isreg():
                entry.type = tarfile.REGTYPE
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            else:
                archive.addfile(entry)


def packed(folder: Path) -> bytes:
    """The folder as a compressed tar file, for a container that can't see it."""
    with tempfile.TemporaryDirectory() as base:
        plain = Path(base) / "folder.tar"
        write_tar(folder, plain)
        into = io.BytesIO()
        with gzip.GzipFile(fileobj=into, mode="wb", mtime=0, compresslevel=6) as squeezed:
            squeezed.write(plain.read_bytes())
    return into.getvalue()
