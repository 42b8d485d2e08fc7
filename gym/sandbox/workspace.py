"""A working copy of a repository in a sandbox, with the tools of a coding agent executed for real.

    with LOCAL.open() as box:
        copy = Workspace({"app.py": b"..."}, box)
        copy.call("bash", {"command": "python app.py"})
        copy.patch()

The copy lives here, in memory; every command runs on it in a sandbox of its own, and what it changed comes back. So a
command can break nothing but its copy, and grading starts from a fresh one.
"""

import base64
import difflib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema

from gym.sandbox.box import Box
from gym.sandbox.job import Job, Limits, Verdict

LIMITS = Limits(cpu_s=60.0, wall_s=120.0, memory_mb=1024, file_mb=32, processes=64)
OUTPUT = 16_000
SHOWN = 200
FOUND, WIDTH = 40, 160  # lines of a search, and characters of each
_INSIDE = Path(__file__).with_name("inside.py").read_text(encoding="utf-8")
_SEARCHING = Path(__file__).with_name("searching.py").read_text(encoding="utf-8")
_SEARCH_LIMITS = Limits(cpu_s=2.0, wall_s=20.0)
_SAVED = ".workspace.json"
_HERE = re.compile(r"^\s*cd /workspace/?\s*(?:&&|;)\s*")
_TEXT = {"type": "string"}
_LINE = {"type": "integer", "minimum": 1}


def _declaration(name: str, description: str, required: Mapping[str, Any], **optional: Any) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


VIEW = _declaration(
    "view",
    f"Shows lines `start` to `end` of a file with their numbers, at most {SHOWN}; or lists the files below a folder.",
    {"path": _TEXT},
    start=_LINE,
    end=_LINE,
)
SEARCH = _declaration(
    "search_dir",
    "Finds the lines of a file, or of all files below a folder, that match a Python regular expression.",
    {"pattern": _TEXT},
    path=_TEXT,
)
EDIT = _declaration(
    "edit",
    "Replaces old_str, which must occur exactly once in the file, by new_str. An empty old_str creates a new file.",
    {"path": _TEXT, "old_str": _TEXT, "new_str": _TEXT},
)
BASH = _declaration(
    "bash",
    "Runs a shell command in the repository. Files it changes stay changed.",
    {"command": _TEXT},
)
PYTHON_ONLY = _declaration(
    "bash",
    "Runs `python FILE`, `python -c CODE` or `python -m MODULE` in the repository; no other program can be started. "
    "Files it changes stay changed.",
    {"command": _TEXT},
)
_CHECKS = {
    tool["function"]["name"]: jsonschema.Draft202012Validator(tool["function"]["parameters"])
    for tool in (VIEW, SEARCH, EDIT, BASH)
}


def mistaken(name: str, arguments: Mapping[str, Any]) -> str:
    """What is wrong with a call of one of the tools, for whoever made it; empty where nothing is."""
    if name not in _CHECKS:
        return f"error: unknown tool {name}"
    problem = next(iter(_CHECKS[name].iter_errors(dict(arguments))), None)
    return "" if problem is None else f"error: invalid arguments: {problem.message}"


class Workspace:
    """Files of a repository as they are now, and the tools that look at them and change them.

    Args:
        files: content by relative path; anything below `.git` is left out, so that no history tells the answer.
        box: where commands run; its level decides whether `bash` is a shell or runs Python alone.
        limits: of one command.
        roots: folders that stand on `sys.path` of every `python`, besides where it starts.
        environment: variables of every command.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        box: Box,
        *,
        limits: Limits = LIMITS,
        roots: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.start = {path: content for path, content in files.items() if ".git" not in path.split("/")}
        self.files = dict(self.start)
        self.box = box
        self.environment = {**(environment or {}), "PYTHONPATH": ":".join(root or "." for root in roots)}
        megabytes = sum(map(len, self.start.values())) >> 20
        self.limits = replace(limits, file_mb=limits.file_mb + 4 * megabytes)

    @property
    def shell(self) -> bool:
        """Whether `bash` is a real shell."""
        return self.box.level != "fork"

    def tools(self) -> list[dict[str, Any]]:
        """Declarations in the OpenAI shape."""
        return [BASH if self.shell else PYTHON_ONLY, VIEW, SEARCH, EDIT]

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """Runs a tool; gives its text and whether the caller made a mistake (a failing command is none).

        Raises:
            SandboxError: the sandbox failed.
        """
        if mistake := mistaken(name, arguments):
            return mistake, True
        if name == "bash":
            return self.bash(arguments["command"]), False
        path = str(arguments.get("path", "")).removeprefix("/workspace").strip("/").removeprefix("./")
        if name == "search_dir":
            return self.search(arguments["pattern"], path)
        if name == "view":
            return self.view(path, arguments.get("start", 1), arguments.get("end"))
        return self.edit(path, arguments["old_str"], arguments["new_str"])

    def bash(self, command: str) -> str:
        """Output and exit status of a command; the files it wrote or deleted are taken over.

        Equal commands on equal files give equal texts, as far as the program does: addresses of objects, and how long
        tests took, are not shown.
        """
        command = _HERE.sub("", command)  # the copy is where the command starts; it has no other name there
        args = (command, str(max(1.0, self.limits.wall_s - 5.0)), str(OUTPUT), str(int(self.shell)))
        job = Job(
            source=_INSIDE,
            files=self.files,
            args=args,
            env=self.environment,
            limits=self.limits,
            keep=(_SAVED,),
        )
        outcome = self.box.run(job).reached()
        if _SAVED not in outcome.files:
            return f"stopped: {outcome.verdict.value.replace('_', ' ')}; files are as before the command"
        saved = json.loads(outcome.files[_SAVED])
        self.files |= {path: base64.b64decode(content) for path, content in saved["changed"].items()}
        for path in saved["gone"]:
            del self.files[path]
        output = str(saved["output"]).rstrip("\n")
        return f"{output}\n[exit status {saved['status']}]".lstrip("\n")

    def view(self, path: str, start: int = 1, end: int | None = None) -> tuple[str, bool]:
        """A part of a file with line numbers, or the files below a folder."""
        if path not in self.files:
            below = self._below(path)
            if not below:
                return f"error: no file or folder {path}", True
            more = f"\n[{len(below) - SHOWN} more]" if len(below) > SHOWN else ""
            return "\n".join(below[:SHOWN]) + more, False
        text = self.files[path].decode("utf-8", "replace").replace("\r\n", "\n")
        lines = text.removesuffix("\n").split("\n") if text else []  # as editors and `grep -n` count them
        wanted = min(len(lines), end or len(lines))
        last = min(wanted, start + SHOWN - 1)
        if start > max(1, len(lines)):
            return f"error: {path} has {len(lines)} lines", True
        shown = [f"{number}\t{lines[number - 1]}" for number in range(start, last + 1)]
        return "\n".join([*shown, *([f"[{wanted - last} more lines]"] if last < wanted else [])]), False

    def _below(self, path: str) -> list[str]:
        """The file of this name, or the files below this folder, in order."""
        inside = "" if path in ("", ".") else f"{path}/"
        return sorted(name for name in self.files if name == path or name.startswith(inside))

    def search(self, pattern: str, path: str = "") -> tuple[str, bool]:
        """`path:line: text` of lines that match, at most 40; a pattern that takes too long is the caller's mistake."""
        try:
            re.compile(pattern)
        except re.error as error:
            return f"error: invalid pattern: {error}", True
        paths = self._below(path)
        if not paths:
            return f"error: no file or folder {path}", True
        asked = {"pattern": pattern, "paths": paths, "most": FOUND, "width": WIDTH}
        limits = replace(_SEARCH_LIMITS, file_mb=self.limits.file_mb)
        files = {name: self.files[name] for name in paths}
        outcome = self.box.run(Job(source=_SEARCHING, files=files, stdin=json.dumps(asked), limits=limits)).reached()
        if outcome.verdict is not Verdict.OK:
            return f"error: the search was stopped: {outcome.verdict.value.replace('_', ' ')}", True
        return outcome.stdout.rstrip("\n") or "no line matches", False

    def edit(self, path: str, old: str, new: str) -> tuple[str, bool]:
        """Replaces `old`, which must be there once, or creates a file when `old` is empty."""
        if not path or ".." in path.split("/") or ".git" in path.split("/"):
            return f"error: can't write {path or 'an empty path'}", True
        if not old:
            if path in self.files:
                return f"error: {path} is there already; name the text to replace", True
            self.files[path] = new.encode()
            return f"created {path}", False
        if path not in self.files:
            return f"error: no file {path}", True
        text = self.files[path].decode("utf-8", "surrogateescape")
        if text.count(old) != 1:
            return f"error: old_str occurs {text.count(old)} times in {path}; it must occur once", True
        self.files[path] = text.replace(old, new).encode("utf-8", "surrogateescape")
        return f"changed {path}", False

    @property
    def changed(self) -> list[str]:
        """Paths that differ from the start, new and deleted ones included."""
        return sorted(path for path in {*self.start, *self.files} if self.start.get(path) != self.files.get(path))

    def patch(self) -> str:
        """The changes as a unified diff that `git apply` takes; files that are no UTF-8 text are left out."""
        return "".join(file_diff(path, self.start.get(path), self.files.get(path)) for path in self.changed)

    def state_hash(self) -> str:
        """sha256 over every path and its content."""
        digest = hashlib.sha256()
        for path, content in sorted(self.files.items()):
            digest.update(json.dumps([path, hashlib.sha256(content).hexdigest()]).encode())
        return digest.hexdigest()


def _lines(content: bytes | None) -> list[str] | None:
    """Lines with their ends, or None for content that is no text."""
    try:
        text = (content or b"").decode("utf-8")
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    return [line + "\n" for line in text.split("\n")[:-1]] + ([last] if (last := text.rpartition("\n")[2]) else [])


def file_diff(path: str, old: bytes | None, new: bytes | None) -> str:
    """One file's change as `git apply` takes it; None is a file that isn't there, and no text gives no diff."""
    before, after = _lines(old), _lines(new)
    if before is None or after is None:
        return ""
    head = f"diff --git a/{path} b/{path}\n"
    if old is None:
        head += "new file mode 100644\n"
    if new is None:
        head += "deleted file mode 100644\n"
    names = ("/dev/null" if old is None else f"a/{path}", "/dev/null" if new is None else f"b/{path}")
    body = [
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for line in difflib.unified_diff(before, after, *names)
    ]
    return head + "".join(body)
