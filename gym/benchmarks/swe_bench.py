"""What SWE-bench and repairs share, an agent's copy and the official rule; `repairs_multilingual` in JavaScript and C.

The user's official instances run in their images by Docker and are graded by the package `swebench`
(gym/benchmarks/swe_official.py), Python repairs of real repositories in gym/benchmarks/repairs.py. Whose agent works on
a copy is not the benchmark's matter: the evaluation brings it.
"""

import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from gym.benchmarks import base
from gym.benchmarks.base import Ask, Benchmark, DataError, Episode, Grade, Message, Reply, Sample, Settings
from gym.benchmarks.estimators import best_of_n
from gym.benchmarks.swe_instances import Instance, apply_patch, c_instances, run_tests, taken
from gym.benchmarks.swe_javascript import javascript_instances
from gym.javascript.store import FOLDER
from gym.sandbox import Box, SandboxError
from gym.sandbox.programs import has_program
from gym.sandbox.workspace import Workspace
from gym.verifiers.code_text import program
from gym.verifiers.result import Result, Status

PASSING, KEPT = frozenset({"PASSED", "XFAIL"}), frozenset({"PASSED", "XFAIL", "SKIPPED"})
SEED = 20251106
PROGRAMS = {"c": "gcc", "javascript": "node"}
EACH = 3  # instances of a repository
SYSTEM = (
    "You are a software engineer. The repository is the current folder, /workspace. Use the tools to find the cause of "
    "the issue, change the source and run the tests. Leave the tests as they are. When you are done, say so without "
    "calling a tool."
)
K2_SOURCE = "K2 report, table 3 and appendix C: bash and editor tools; its number of steps isn't published, 250 is ours"
THINKING_SOURCE = "K2 Thinking model card, note on coding: mean of 5 runs, T 1.0; 16k tokens a step, 256k in all"
AGENT_PRESETS: Mapping[str, Settings] = {
    "k2": replace(base.K2, max_steps=250, source=K2_SOURCE),
    "k2-thinking": replace(base.K2_THINKING, repeats=5, max_tokens=16384, max_steps=300, source=THINKING_SOURCE),
}
AGENTLESS_PRESETS: Mapping[str, Settings] = {
    "k2": replace(base.K2, max_tokens=16384, source="K2 report, table 3: single patch without test, 16,384 tokens"),
    "k2-thinking": replace(base.K2_THINKING, repeats=5, source=THINKING_SOURCE),
}


class Copy(Protocol):
    """A working copy of a repository."""

    def tools(self) -> list[dict[str, Any]]: ...

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]: ...

    def patch(self) -> str: ...


# What lets a model work on a copy: (first messages, copy) → asks and takes replies; returns why it ended and its steps.
Agent = Callable[[Sequence[Message], Copy], Generator[Ask, Reply, tuple[str, int]]]


def _status(test: str, statuses: Mapping[str, str]) -> str | None:
    """A test's status; an id that was cut inside its parameters counts by its beginning where all such tests agree."""
    if test in statuses:
        return statuses[test]
    if test.count("[") > test.count("]"):
        matching = [status for name, status in statuses.items() if name.startswith(test)]
        if matching and len({status in PASSING for status in matching}) == 1:
            return matching[0]
    return None


def resolved(
    statuses: Mapping[str, str], fail_to_pass: Sequence[str], pass_to_pass: Sequence[str], *, fail_only: bool = False
) -> bool:
    """The official verdict on the statuses of a test log (swebench 5.0.2, `harness/grading.py`).

    A FAIL_TO_PASS test must have passed; a PASS_TO_PASS test must be maintained, for which a skip is enough; a test
    that is absent failed. In repositories of the kind `fail_only` a test fails only when the log says FAILED.
    """
    if fail_only:
        return not any(statuses.get(test) == "FAILED" for test in [*fail_to_pass, *pass_to_pass])
    fixed = all(_status(test, statuses) in PASSING for test in fail_to_pass)
    return fixed and all(_status(test, statuses) in KEPT for test in pass_to_pass)


class RepairsMultilingual(Benchmark):
    """Repositories that need no Docker, worked on by an agent: packages of npm, and small ones of ours in C.

    Args:
        path: a folder of packages, by default the pipeline's own.
        count: instances of each repository in C.

    Raises:
        DataError: nothing in `path`, no sandbox, or neither language has a task here.
    """

    name = "repairs_multilingual"
    sandbox = True
    presets = AGENT_PRESETS
    agent: Agent | None = None

    def __init__(self, path: Path | None = None, count: int = EACH) -> None:
        super().__init__()
        if path is not None and not any(path.glob("*.tar")):
            raise DataError(f"{self.name}: {path}: no package of npm that the stage repositories stored")
        folder, instances, left_out = path or FOLDER, list[Instance](), list[str]()
        try:
            with self._opened() as box:
                if has_program(box, "node"):
                    instances += javascript_instances(box, folder, left_out)
                for line in left_out:
                    print(f"{self.name}: left out: {line}", flush=True)
                if not instances:
                    print(f"{self.name}: no task in JavaScript: no node here, or nothing in {folder}", flush=True)
                if has_program(box, "gcc"):
                    instances += c_instances(box, count, SEED)
        except SandboxError as error:
            raise DataError(f"{self.name}: {error}") from None
        if not instances:
            raise DataError(f"{self.name}: needs gcc or node, and a sandbox of level namespaces")
        self.instances = {instance.id: instance for instance in instances}
        languages = sorted({instance.language for instance in instances})
        data = f"repairs-{'-'.join(languages)}"
        self.manifest = base.builtin_manifest(data, [instance.row() for instance in instances], version="3")

    @contextmanager
    def _opened(self) -> Iterator[Box]:
        """Without any library of Python, of which some hold scripts of npm's packages."""
        with tempfile.TemporaryDirectory() as nothing:
            Path(nothing).chmod(0o755)
            with self.backend.open(Path(nothing)) as box:
                yield box

    @contextmanager
    def open_box(self) -> Iterator[Box]:
        """Raises SandboxError: a program is missing that graded the tasks here, as in an image without compilers."""
        with self._opened() as box:
            for language in sorted({instance.language for instance in self.instances.values()}):
                if not has_program(box, PROGRAMS[language]):
                    raise SandboxError(f"{self.name}: the sandbox ({self.backend.name}) has no {PROGRAMS[language]}")
            yield box

    def items(self) -> list[Sample]:
        return [
            Sample(instance.id, self._messages(instance), {"instance_id": instance.id}, group=instance.language)
            for instance in self.instances.values()
        ]

    def _messages(self, instance: Instance) -> tuple[Message, ...]:
        return (
            {"role": "system", "content": SYSTEM},
            *base.user(f"{instance.statement}\n\nTests: `{instance.command}`"),
        )

    def episode(self, sample: Sample) -> Episode:
        if self.agent is None:
            raise DataError(f"{self.name}: no agent works on the repository")
        copy = Workspace(self.instances[sample.id].files, self.needed_box())
        stop, steps = yield from self.agent(sample.messages, copy)
        if stop == "infrastructure":
            return Grade(Result(None, Status.VERIFIER_ERROR, "the sandbox failed"), "", {"steps": float(steps)})
        return self.grade_patch(sample.id, copy.patch(), steps=float(steps))

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        """The verdict on a patch (```diff)."""
        return self.grade_patch(sample.id, program(reply.text))

    def grade_patch(self, name: str, patch: str, **parts: float) -> Grade:
        """The official rule on every test, hidden ones too, of a fresh copy with the patch and its own tests."""
        instance, box = self.instances[name], self.needed_box()
        if not patch.strip():
            return base.no_answer("empty patch", verifier=0.0, **parts)
        files = apply_patch(instance.files, patch)
        if files is None:
            return base.scored(False, patch, "the patch does not apply", verifier=0.0, **parts)
        graded = {**instance.files, **taken(instance, files)}
        try:
            statuses = run_tests(box, instance, files)
            visible = Workspace(graded, box).bash(instance.command).endswith("[exit status 0]")
        except SandboxError as error:
            return Grade(Result(None, Status.VERIFIER_ERROR, str(error)), patch, parts)
        fixed = [test for test in instance.fail_to_pass if statuses.get(test) == "PASSED"]
        kept = [test for test in instance.pass_to_pass if statuses.get(test) == "PASSED"]
        right = resolved(statuses, instance.fail_to_pass, instance.pass_to_pass)
        reason = f"F2P {len(fixed)} of {len(instance.fail_to_pass)}, P2P {len(kept)} of {len(instance.pass_to_pass)}"
        vote = float(visible) / (1 + 1e-4 * len(patch.splitlines()))
        shares = {"f2p": len(fixed) / len(instance.fail_to_pass), "p2p": len(kept) / len(instance.pass_to_pass)}
        return base.scored(right, patch, reason, verifier=vote, **shares, **parts)

    def gold_reply(self, sample: Sample) -> Reply:
        """The gold patch, the inverse of the mutation."""
        return Reply(f"```diff\n{self.instances[sample.id].patch}```")

    def summary(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return best_by_verifier(rows)


def best_by_verifier(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """`best_of_n_verifier`: of each item's samples the one that a verifier prefers, which sees the repository's own
    tests alone: they pass, and the patch is small. Not pass@n, which takes any that is right.
    """
    scores: dict[str, list[float]] = {}
    votes: dict[str, list[float]] = {}
    for row in rows:
        scores.setdefault(row["task_id"], []).append(row["score"])
        votes.setdefault(row["task_id"], []).append(row["parts"].get("verifier", 0.0))
    if max(map(len, scores.values()), default=0) < 2:
        return {}
    return {"best_of_n_verifier": best_of_n(scores, votes)}
