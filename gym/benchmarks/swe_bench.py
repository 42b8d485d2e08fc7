"""SWE-bench's grading rule, and repairs of real modules that need no Docker (agentless: one answer, no tools).

The official instances need their images and the package `swebench`; they are not run here.
"""

from collections.abc import Mapping, Sequence

from gym.benchmarks import base
from gym.benchmarks.base import Benchmark, DataError, Grade, Reply, Sample
from gym.benchmarks.code_text import program
from gym.sandbox import open_sandbox
from gym.tasksets.repair import Repair, source_of
from gym.tasksets.task import Task

PASSING, KEPT = frozenset({"PASSED", "XFAIL"}), frozenset({"PASSED", "XFAIL", "SKIPPED"})
SEED, COUNT = 20251106, 12
PROMPT = "{issue}\n\n```python\n{source}\n```\n\nAnswer with the whole repaired file in one ```python block."


def resolved(
    statuses: Mapping[str, str], fail_to_pass: Sequence[str], pass_to_pass: Sequence[str], *, fail_only: bool = False
) -> bool:
    """The official verdict on a test log.

    A FAIL_TO_PASS test must have passed; a PASS_TO_PASS test must be maintained, for which a skip is enough; a test
    that is absent failed. In repositories of the kind `fail_only` a test fails only when the log says so.
    """
    if fail_only:
        return not any(statuses.get(test) in {"FAILED", "ERROR"} for test in [*fail_to_pass, *pass_to_pass])
    fixed = all(statuses.get(test) in PASSING for test in fail_to_pass)
    return fixed and all(statuses.get(test) in KEPT for test in pass_to_pass)


class SweRepair(Benchmark):
    """Built in: a module of the standard library with one proven mutation, graded in a fresh sandbox by F2P and P2P."""

    name = "swe_bench_verified"
    sandbox = True

    def __init__(self, count: int = COUNT) -> None:
        super().__init__()
        with open_sandbox() as box:
            self.tasks = {task.id: task for task in Repair(box).tasks(count, SEED)}
        rows = [[task.id, task.messages[-1]["content"], task.payload] for task in self.tasks.values()]
        self.manifest = base.builtin_manifest("swe-repair", rows)

    def items(self) -> list[Sample]:
        return [
            Sample(task.id, base.user(self._text(task)), {"module": task.payload["module"]}, group="agentless")
            for task in self.tasks.values()
        ]

    def _text(self, task: Task) -> str:
        issue, source = task.messages[-1]["content"], task.payload["files"]["candidate.py"]
        return PROMPT.format(issue=issue, source=source)

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        source = program(reply.text)
        if not source.strip():
            return base.no_answer("empty answer")
        try:
            return Grade(Repair(self.needed_box()).score(self.tasks[sample.id], source), source)
        except RuntimeError as error:
            raise DataError(f"{self.name}: {error}") from None

    def gold_reply(self, sample: Sample) -> Reply:
        return Reply(f"```python\n{source_of(sample.gold['module'])}\n```")

    def broken_reply(self, sample: Sample) -> Reply:
        """The file as it was."""
        return Reply(f"```python\n{self.tasks[sample.id].payload['files']['candidate.py']}\n```")
