"""`repairs_python`: proven bugs in real repositories that nothing was trained on (gym/repositories).

An agent works on the broken tree in the repository's own sandbox, where no copy of the good code exists; its files are
graded by hidden tests on a fresh tree. `repairs_python_agentless` shows the file and asks once for replacements.
Beside the score stand what shows where an agent looked: `opened_file`, `opened_function` (a line of it was in a result
of a tool), `edited_file`, `edited_function`, and the share of its calls without a mistake.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gym.benchmarks import base
from gym.benchmarks.base import Ask, Benchmark, DataError, Episode, Grade, Message, Reply, Sample
from gym.benchmarks.swe_bench import AGENT_PRESETS, AGENTLESS_PRESETS, SYSTEM, Agent, best_by_verifier
from gym.repositories.errors import RepositoryError
from gym.repositories.functions import function_text
from gym.repositories.grading import grade
from gym.repositories.solving import solver_tree, working_copy
from gym.repositories.stored import TABLE, StoredTasks
from gym.repositories.suite import run_suite
from gym.repositories.task import RepairTask, apply_edits
from gym.sandbox import Box, SandboxError
from gym.sandbox.workspace import Workspace, file_diff
from gym.verifiers.code_text import blocks
from gym.verifiers.result import Result, Status

SHOWN = 12_000  # characters of a file that an answer without tools sees, the bug among them
AGENTLESS = (
    "{issue}\n\nFrom {path}:\n\n```python\n{source}\n```\n\nAnswer with replacements, each in a block of its own:\n\n"
    "```\n<<<<<<< SEARCH\nlines as they are\n=======\nlines as they should be\n>>>>>>> REPLACE\n```"
)
REPLACEMENT = re.compile(r"<{7} SEARCH\n(.*?)\n={7}\n(.*?)\n?>{7} REPLACE", re.DOTALL)


class _Watched:
    """A working copy that notes where an agent looked and how many of its calls were mistakes."""

    def __init__(self, copy: Workspace, task: RepairTask) -> None:
        self.copy, self.task = copy, task
        self.calls = self.mistakes = 0
        self.files: set[str] = set()
        self.lines: set[str] = set()
        self.wanted = {line.strip() for edit in task.edits for line in _lines_of(copy.files, edit.path, edit.function)}

    def tools(self) -> list[dict[str, Any]]:
        return self.copy.tools()

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        text, mistake = self.copy.call(name, arguments)
        self.calls += 1
        self.mistakes += mistake
        if not mistake:
            given = " ".join(str(value) for value in arguments.values())
            self.files |= {edit.path for edit in self.task.edits if edit.path in given}
            self.lines |= {line for line in self.wanted if line in text}
        return text, mistake

    def patch(self) -> str:
        return self.copy.patch()

    def parts(self, steps: int) -> dict[str, float]:
        edits, files = self.task.edits, self.copy.files
        changed = [files.get(edit.path) != self.copy.start[edit.path] for edit in edits]
        rewritten = [
            _function(files, edit.path, edit.function) != _function(self.copy.start, edit.path, edit.function)
            for edit in edits
        ]
        return {
            "steps": float(steps),
            "opened_file": float(bool(self.files)),
            "opened_function": float(bool(self.lines)),
            "edited_file": float(any(changed)),
            "edited_function": float(any(rewritten)),
            "valid_calls": 1 - self.mistakes / self.calls if self.calls else 0.0,
        }


def _function(files: Mapping[str, bytes], path: str, name: str) -> str | None:
    try:
        return function_text(path, files[path], name)
    except (KeyError, SyntaxError, ValueError):  # deleted, or no Python any more
        return None


def _lines_of(files: Mapping[str, bytes], path: str, name: str) -> list[str]:
    """Lines of a function that tell it from others: of some length, and in no other place of its file."""
    every = files[path].decode().splitlines()
    own = (_function(files, path, name) or "").splitlines()
    return [line for line in own if len(line.strip()) > 12 and sum(line.strip() in other for other in every) == 1]


class Repairs(Benchmark):
    """Held tasks of the table `path`, by default the pipeline's own.

    Raises:
        DataError: no such table, or no held task in it.
    """

    sandbox = True
    agent: Agent | None = None

    def __init__(self, name: str, path: Path | None = None) -> None:
        super().__init__()
        self.name, self.agentless = name, name.endswith("_agentless")
        self.presets = AGENTLESS_PRESETS if self.agentless else AGENT_PRESETS
        try:
            self.stored = StoredTasks(path or TABLE)
        except RepositoryError as error:
            raise DataError(f"{name}: {error}") from None
        held = self.stored.of(held=True)
        if self.agentless:  # one file is shown
            held = [task for task in held if len({edit.path for edit in task.edits}) == 1]
        self.tasks = {task.id: task for task in held}
        if not self.tasks:
            raise DataError(f"{name}: {path or TABLE}: no held task; repositories.held_tasks makes them")
        self.manifest = base.builtin_manifest("repairs-python", [task.row() for task in self.tasks.values()])

    @contextmanager
    def open_box(self) -> Iterator[Box]:
        """Every repository has a sandbox of its own; that of the first stands for all."""
        self.stored.backend = self.backend
        with self.stored:
            yield self.stored.box(next(iter(self.tasks.values())).project)

    def items(self) -> list[Sample]:
        return [
            Sample(task.id, self._messages(task), {"task_id": task.id}, group=task.project)
            for task in self.tasks.values()
        ]

    def _broken(self, task: RepairTask) -> dict[str, bytes]:
        return apply_edits(self.stored.project(task.project).files, task.edits)

    def _messages(self, task: RepairTask) -> tuple[Message, ...]:
        if not self.agentless:
            return ({"role": "system", "content": SYSTEM}, *base.user(task.issue))
        path = task.edits[0].path
        return base.user(AGENTLESS.format(issue=task.issue, path=path, source=self._shown(task, path)))

    def _shown(self, task: RepairTask, path: str) -> str:
        """The broken file; of a long one whole lines, with the bug anywhere among them."""
        text = self._broken(task)[path].decode()
        if len(text) <= SHOWN:
            return text
        places = [edit.start for edit in task.edits if edit.path == path]
        spare = max(0, SHOWN - (max(places) - min(places)))
        share = int(base.sha256_json(task.id)[:4], 16) / 0xFFFF
        first = text.rfind("\n", 0, max(0, min(len(text) - SHOWN, min(places) - int(spare * share)))) + 1
        return text[first : text.rfind("\n", 0, first + SHOWN)]

    def episode(self, sample: Sample) -> Episode:
        if self.agentless:
            reply = yield Ask(sample.messages)
            return self.grade(sample, reply)
        if self.agent is None:
            raise DataError(f"{self.name}: no agent works on the repository")
        task = self.tasks[sample.id]
        project = self.stored.project(task.project)
        copy = working_copy(project, task, self.stored.box(task.project))
        watched = _Watched(copy, task)
        stop, steps = yield from self.agent(sample.messages, watched)
        if stop == "infrastructure":
            return Grade(Result(None, Status.VERIFIER_ERROR, "the sandbox failed"), "", {"steps": float(steps)})
        return self._graded(task, copy.files, copy.patch(), watched.parts(steps))

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        """An answer of replacements, each of a text that the file has once."""
        task = self.tasks[sample.id]
        files = self._broken(task)
        found = [pair for block in blocks(reply.text) for pair in REPLACEMENT.findall(block)]
        if not found:
            return base.no_answer("no replacement", verifier=0.0)
        path = task.edits[0].path
        text = files[path].decode()
        for old, new in found:
            if text.count(old) != 1:
                reason = f"a text to replace occurs {text.count(old)} times"
                return base.scored(False, reply.text, reason, verifier=0.0)
            text = text.replace(old, new)
        return self._graded(task, {**files, path: text.encode()}, file_diff(path, files[path], text.encode()), {})

    def _graded(self, task: RepairTask, files: Mapping[str, bytes], patch: str, parts: Mapping[str, float]) -> Grade:
        """By hidden and shown tests on a fresh tree; the shown ones alone are what a verifier may choose by."""
        if not patch.strip():
            return base.no_answer("empty patch", verifier=0.0, **parts)
        project, box = self.stored.project(task.project), self.stored.box(task.project)
        # Tests as they were shown: one that the solver rewrote tells nothing.
        shown = solver_tree(project, task) | {path: files[path] for path in project.code if path in files}
        try:
            result = grade(box, project, task, files)
            seen = run_suite(box, project, shown, task.shown) if task.shown else None
        except SandboxError as error:
            return Grade(Result(None, Status.VERIFIER_ERROR, str(error)), patch, parts)
        passes = seen is not None and seen.ended and all(seen.outcomes.get(test) == "passed" for test in task.shown)
        vote = float(passes) / (1 + 1e-4 * len(patch.splitlines()))
        return Grade(result, patch, {**parts, "verifier": vote})

    def gold_reply(self, sample: Sample) -> Reply:
        """All lines from the first to the last change, with as many around them as make the text the only one."""
        task = self.tasks[sample.id]
        path = task.edits[0].path
        broken, good = (files[path].decode() for files in (self._broken(task), self.stored.project(task.project).files))
        ours, theirs = broken.split("\n"), good.split("\n")
        found = difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()
        first, *_, last = [op for op in found if op[0] != "equal"] * 2
        low, high = first[1], last[2]
        while low == high or broken.count("\n".join(ours[low:high])) != 1:
            low, high = max(0, low - 1), min(len(ours), high + 1)
        new = [*ours[low : first[1]], *theirs[first[3] : last[4]], *ours[last[2] : high]]
        lines = ["<<<<<<< SEARCH", *ours[low:high], "=======", *new, ">>>>>>> REPLACE"]
        return Reply("\n".join(["~~~~~~", *lines, "~~~~~~"]))

    def summary(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        names = ("opened_file", "opened_function", "edited_file", "edited_function", "valid_calls")
        answered = [row for row in rows if "steps" in row["parts"]]
        means = {
            name: sum(row["parts"].get(name, 0.0) for row in answered) / len(answered) for name in names if answered
        }
        return best_by_verifier(rows) | means
