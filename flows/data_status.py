"""What DVC knows of the checkout's data, in one line: stages that have changed, outputs that are missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.repo import Repo

SHOWN = 3  # names in a line


@dataclass(frozen=True)
class DataStatus:
    """Stages whose inputs, code, parameters or outputs are not those of `dvc.lock`; outputs that are not there, or
    that the cache lacks, so that `dvc checkout` can't bring them back."""

    stages: int
    changed: Sequence[str]
    missing: Sequence[str]
    not_in_cache: Sequence[str]

    @property
    def good(self) -> bool:
        return not (self.changed or self.missing or self.not_in_cache)

    def line(self) -> str:
        if self.good:
            return f"{self.stages} stages as in dvc.lock, every output here and in the cache"
        parts = [
            f"{len(names)} {what} ({', '.join([*names[:SHOWN], *(['…'] if names[SHOWN:] else [])])})"
            for names, what in (
                (self.changed, f"of {self.stages} stages changed"),
                (self.missing, "outputs missing"),
                (self.not_in_cache, "outputs not in the cache"),
            )
            if names
        ]
        return ", ".join(parts)


def read(root: Path = Path()) -> DataStatus:
    """Asks DVC, which hashes what has changed since it last looked.

    Raises:
        DvcException: no repository, a lock file that another version wrote, or another process holds the lock.
    """
    with Repo(str(root)) as repo:
        status: Mapping[str, Any] = repo.status()
        lacks = repo.data_status()["not_in_cache"]
        stages = sum(bool(stage.cmd) for stage in repo.index.stages)
    entries = {name: [one for one in found if isinstance(one, Mapping)] for name, found in status.items()}
    outs = [one["changed outs"] for found in entries.values() for one in found if "changed outs" in one]
    missing = [path for changed in outs for path, how in changed.items() if how == "deleted"]
    return DataStatus(stages, [name for name, found in entries.items() if found], sorted(missing), sorted(lacks))
