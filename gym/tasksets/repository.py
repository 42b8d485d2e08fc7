"""Functions of real repositories to repair or to write, judged by the repository's own tests in its sandbox.

`repair` shows an issue and the function that holds the bug, `completion` a function without its body, both of proven
tasks (gym/repositories). The answer is the whole function; it is put into a fresh tree that has the bug, so nothing
else of the repository can change.
"""

from typing import Literal

import numpy as np

from gym.repositories.functions import function_text, with_function
from gym.repositories.grading import grade
from gym.repositories.stored import StoredTasks
from gym.repositories.task import RepairTask, apply_edits
from gym.sandbox import SandboxError
from gym.tasksets.task import Task
from gym.verifiers.code_text import program
from gym.verifiers.result import Result, Status

Kind = Literal["repair", "completion"]
BLANK = "blank_body"
REPAIR = (
    "{issue}\n\nThe cause lies in this function of {path}:\n\n```python\n{function}```\n\n"
    "Answer with the whole repaired function in one ```python block."
)
COMPLETION = (
    "This function of {path} in the repository {project} has no body yet:\n\n```python\n{function}```\n\n"
    "Answer with the whole function in one ```python block."
)
LONGEST = 6_000  # characters of a question
CHARACTERS = 3  # of code to a token, at least


class Functions:
    """Tasks of one kind out of the stored ones, each in one function.

    Args:
        held: those for evaluation alone instead of those to learn from.

    Raises:
        ValueError: there is none of this kind.
    """

    def __init__(self, name: Kind, stored: StoredTasks, *, held: bool = False) -> None:
        self.name, self.stored = name, stored
        self._tasks = [made for task in stored.of(held=held) if (made := self._made(task)) is not None]
        if not self._tasks:
            raise ValueError(f"taskset {name}: no such task in the table of repairs")

    def _made(self, task: RepairTask) -> Task | None:
        places = {(edit.path, edit.function) for edit in task.edits}
        if len(places) > 1 or (BLANK in task.kinds) != (self.name == "completion"):
            return None
        ((path, function),) = places
        broken = apply_edits(self.stored.project(task.project).files, task.edits)[path]
        text = function_text(path, broken, function)
        if text is None:
            return None
        form = COMPLETION if self.name == "completion" else REPAIR
        question = form.format(issue=task.issue, path=path, project=task.project, function=text)
        if len(question) > LONGEST:
            return None
        good = function_text(path, self.stored.project(task.project).files[path], function) or ""
        return Task(
            id=f"{self.name}-{task.id}",
            taskset=self.name,
            seed=0,
            difficulty=min(1.0, len(good.splitlines()) / 60),
            domain="swe",
            messages=({"role": "user", "content": question},),
            token_budget=40 + len(good) // CHARACTERS,
            payload={"task": task, "path": path, "function": function, "answer": f"```python\n{good}```"},
            entity=f"{task.project}/{path}/{function}",
        )

    def tasks(self, n: int, seed: int, difficulty: float = 0.5) -> list[Task]:
        """Up to `n` of those whose length is nearest to the wanted difficulty, in an order by the seed."""
        nearest = sorted(self._tasks, key=lambda task: (abs(task.difficulty - difficulty), task.id))[: 4 * n]
        order = np.random.default_rng([seed, 67]).permutation(len(nearest)).tolist()
        return [nearest[k] for k in order[:n]]

    def score(self, task: Task, answer_text: str) -> Result:
        """Every test of the task on a fresh tree with this function; no function is no answer."""
        payload = task.payload
        text = program(answer_text, payload["function"].rpartition(".")[2])
        if not text.strip():
            return Result(0.0, Status.NO_ANSWER, "no function")
        proven: RepairTask = payload["task"]
        project = self.stored.project(proven.project)
        files = apply_edits(project.files, proven.edits)
        changed = with_function(payload["path"], files[payload["path"]], payload["function"], text)
        if changed is None:
            return Result(0.0, Status.SCORED, f"no definition of {payload['function']} alone")
        try:
            return grade(self.stored.box(proven.project), project, proven, {**files, payload["path"]: changed})
        except SandboxError as error:
            return Result(None, Status.VERIFIER_ERROR, str(error))
