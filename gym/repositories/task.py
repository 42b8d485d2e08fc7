"""A repair task: a repository with a bug, the tests that it fails, and an issue that tells what goes wrong."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Edit:
    """A replacement in one file: bytes [start, end) of the good source become `new`."""

    path: str
    start: int
    end: int
    new: str
    kind: str  # of the bug, such as `comparison`
    function: str  # qualified name, such as `Document.append`
    line: int  # the first that changes, from 1


@dataclass(frozen=True)
class Snippet:
    """A call that shows the bug, run on both packages.

    code: a program of imports, set-up and one last expression that is printed. good, broken: what it prints on each,
    or `!NameError: text` for an exception.
    """

    code: str
    expression: str
    good: str
    broken: str


@dataclass(frozen=True)
class RepairTask:
    """A proven task. The good files are not in it: they are the project's own.

    edits: what broke it, one or more. fail_to_pass, pass_to_pass: node ids, each proven three times on the good and by
    a run of the whole suite on the broken files. shown: of both, those that stay in the solver's tree. issue: its text;
    form: which of the issue's forms it has. chain: calls between the reported one and the bug, where it is known.
    """

    id: str
    project: str
    version: str
    edits: tuple[Edit, ...]
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    shown: tuple[str, ...]
    issue: str
    form: str
    snippet: Snippet | None
    chain: int | None

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(edit.kind for edit in self.edits)

    def row(self) -> dict[str, Any]:
        """As a row of a table of tasks, with lists as JSON; an unknown chain is −1, no snippet an empty text."""
        return asdict(self) | {
            "edits": json.dumps([asdict(edit) for edit in self.edits]),
            "kinds": json.dumps(self.kinds),
            "fail_to_pass": json.dumps(self.fail_to_pass),
            "pass_to_pass": json.dumps(self.pass_to_pass),
            "shown": json.dumps(self.shown),
            "snippet": "" if self.snippet is None else json.dumps(asdict(self.snippet)),
            "chain": -1 if self.chain is None else self.chain,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "RepairTask":
        """The task that `row` wrote; further columns are passed over."""
        return cls(
            id=row["id"],
            project=row["project"],
            version=row["version"],
            edits=tuple(Edit(**edit) for edit in json.loads(row["edits"])),
            fail_to_pass=tuple(json.loads(row["fail_to_pass"])),
            pass_to_pass=tuple(json.loads(row["pass_to_pass"])),
            shown=tuple(json.loads(row["shown"])),
            issue=row["issue"],
            form=row["form"],
            snippet=Snippet(**json.loads(row["snippet"])) if row["snippet"] else None,
            chain=None if row["chain"] < 0 else row["chain"],
        )


def apply_edits(files: Mapping[str, bytes], edits: tuple[Edit, ...]) -> dict[str, bytes]:
    """The files with every edit made; edits of one file do not overlap."""
    made = dict(files)
    for edit in sorted(edits, key=lambda edit: (edit.path, -edit.start)):
        source = made[edit.path]
        made[edit.path] = source[: edit.start] + edit.new.encode() + source[edit.end :]
    return made
