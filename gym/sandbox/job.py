"""What a sandbox runs and what it says afterwards."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

_HALF_PAIR = re.compile("[\ud800-\udfff]")


def _text(text: str) -> str:
    return _HALF_PAIR.sub("\ufffd", text)


class Verdict(StrEnum):
    """How a program ended; only `infrastructure_error` says nothing about the program."""

    OK = "ok"
    WRONG_EXIT = "wrong_exit"
    CPU_LIMIT = "cpu_limit"
    WALL_LIMIT = "wall_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    DENIED = "denied"
    INFRASTRUCTURE_ERROR = "infrastructure_error"


class SandboxError(Exception):
    """A layer of the wanted level is missing on this machine, so nothing runs; or the sandbox itself failed."""


@dataclass(frozen=True)
class Limits:
    """cpu_s: processor seconds of the program and its children, the limit that decides verdicts on any machine.
    wall_s: from the moment the program starts, after queueing. memory_mb: address space beyond the interpreter.
    output_bytes: of stdout and stderr each. file_mb: of all files together. processes: at once, threads included.
    stack_mb: of the main thread; deep recursion through built-in functions needs more than the usual 8.
    """

    cpu_s: float = 5.0
    wall_s: float = 20.0
    memory_mb: int = 512
    output_bytes: int = 65536
    file_mb: int = 16
    processes: int = 16
    stack_mb: int = 8


@dataclass(frozen=True)
class Job:
    """Python `source`, or a command `argv` (levels that may execute programs).

    files: text or bytes by relative path, written before the start. keep: files to read back afterwards.
    Half a surrogate pair in any text, as models write it, becomes U+FFFD.
    """

    source: str | None = None
    argv: Sequence[str] = ()
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    stdin: str = ""
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    keep: Sequence[str] = ()

    def __post_init__(self) -> None:
        if (self.source is None) == (not self.argv):
            raise ValueError("a job is either source or argv")
        for name in [*self.files, *self.keep]:
            if name.startswith("/") or ".." in name.split("/") or not name:
                raise ValueError(f"file name {name!r}: must be relative, without '..'")
        files = {name: _text(held) if isinstance(held, str) else held for name, held in self.files.items()}
        mended = {"stdin": _text(self.stdin), "args": [_text(word) for word in self.args], "files": files}
        if self.source is not None:
            mended["source"] = _text(self.source)
        for name, value in mended.items():
            object.__setattr__(self, name, value)

    def to_json(self) -> dict[str, Any]:
        """The job as it goes to a worker; the contents of files in hexadecimal."""
        files = {
            name: (content.encode() if isinstance(content, str) else content).hex()
            for name, content in self.files.items()
        }
        return {
            "source": self.source,
            "argv": list(self.argv),
            "files": files,
            "stdin": self.stdin,
            "args": list(self.args),
            "env": dict(self.env),
            "limits": asdict(self.limits),
            "keep": list(self.keep),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Job":
        """The job that `to_json` wrote; what is left out has its default.

        Raises:
            ValueError, TypeError: it describes no job.
        """
        made = dict(value)
        made["files"] = {name: bytes.fromhex(content) for name, content in dict(made.get("files", {})).items()}
        made["limits"] = Limits(**made.get("limits", {}))
        return cls(**made)


@dataclass(frozen=True)
class Outcome:
    """exit_status: of the program, −n when signal n ended it. detail: one line for a person."""

    verdict: Verdict
    exit_status: int
    stdout: str
    stderr: str
    cpu_s: float
    wall_s: float
    max_rss_mb: float
    detail: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)

    def reached(self) -> "Outcome":
        """Itself, which then says something about the program.

        Raises:
            SandboxError: the sandbox failed.
        """
        if self.verdict is Verdict.INFRASTRUCTURE_ERROR:
            raise SandboxError(self.detail)
        return self

    def to_json(self) -> dict[str, Any]:
        """For a file of outcomes; the contents of kept files in hexadecimal."""
        return {**asdict(self), "files": {name: content.hex() for name, content in self.files.items()}}
