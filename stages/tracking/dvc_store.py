"""A checkpoint named by its hash: what stands in the checkout, else in DVC's cache, else in a DVC remote."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from stages.harness.errors import InputError
from stages.harness.files import fingerprint, sha256_file, write_atomic
from stages.harness.section import load_yaml


@dataclass(frozen=True)
class Reference:
    """One output of the pipeline.

    Attributes:
        path: relative to the root of the checkout.
        dvc: its hash in `dvc.lock`, `none` when DVC has not recorded it.
        file: the file whose bytes identify the whole (a checkpoint's manifest lists the others' hashes).
        sha256: of that file.
    """

    path: str
    dvc: str
    file: str
    sha256: str


def digest(path: Path) -> str:
    """What identifies an output wherever it stands: the sha256 of a checkpoint's manifest, else of all its bytes."""
    for file in (path / "manifest.json", path):
        if file.is_file():
            return sha256_file(file)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return fingerprint({file.relative_to(path).as_posix(): sha256_file(file) for file in files})


def locked(root: Path) -> dict[str, str]:
    """Path of every output in `dvc.lock` → its hash; empty without one."""
    lock = root / "dvc.lock"
    if not lock.exists():
        return {}
    stages = load_yaml(lock)["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def refer(root: Path, path: str, file: str) -> Reference:
    """The reference of what stands at `path` now.

    Raises:
        InputError: nothing stands there.
    """
    named = root / path / file
    if not named.exists():
        raise InputError(f"{path}: no {file}; run the stage that makes it first")
    return Reference(path, locked(root).get(path, "none"), file, sha256_file(named))


def _is(folder: Path, wanted: Reference) -> bool:
    return (folder / wanted.file).exists() and sha256_file(folder / wanted.file) == wanted.sha256


def materialize(root: Path, wanted: Reference) -> Path:
    """A folder with exactly the bytes that `wanted` names.

    Raises:
        InputError: neither the checkout, DVC's cache nor a DVC remote has them.
    """
    for folder in (root / wanted.path, root / "work" / "registry" / wanted.dvc):
        if _is(folder, wanted):
            return folder
    if wanted.dvc == "none":
        raise InputError(f"{wanted.path}: holds another version and DVC has no record of {wanted.sha256[:12]}")
    target = root / "work" / "registry" / wanted.dvc
    _from_dvc(root, wanted, target)
    if not _is(target, wanted):
        shutil.rmtree(target)
        raise InputError(f"{wanted.path}: what DVC holds as {wanted.dvc} is not {wanted.sha256[:12]}")
    return target


def _from_dvc(root: Path, wanted: Reference, target: Path) -> None:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_data.hashfile.hash_info import HashInfo

    with Repo(str(root)) as repo:
        cache = repo.cache.local

        def have(hashes: list[str]) -> None:
            missing = [HashInfo("md5", md5) for md5 in hashes if not cache.exists(md5)]
            if not missing:
                return
            problem = f"{wanted.path}: {wanted.dvc} is in no DVC cache or remote"
            try:
                repo.cloud.pull(missing)
            except DvcException as error:
                raise InputError(f"{problem}: {error}") from None
            if not all(cache.exists(info.value) for info in missing):
                raise InputError(problem)

        have([wanted.dvc])
        files = json.loads(Path(cache.oid_to_path(wanted.dvc)).read_text(encoding="utf-8"))
        have([file["md5"] for file in files])
        with write_atomic(target) as tmp:
            for file in files:
                path = tmp / file["relpath"]
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(cache.oid_to_path(file["md5"]), path)
