"""Small programming tasks with generated hidden tests: expected values come from a reference, edge cases included."""

import numpy as np

from gym.sandbox import Box
from gym.tasksets.code_functions import SPECS
from gym.tasksets.task import Task
from gym.verifiers.code import CallTest, by_calls
from gym.verifiers.code_text import program
from gym.verifiers.result import Result

TESTS = 24
NEAR = 100  # functions of about the wanted difficulty


class Code:
    """Function tasks; scoring needs an open sandbox."""

    name = "code"

    def __init__(self, box: Box) -> None:
        self.box = box

    def tasks(self, n: int, seed: int, difficulty: float = 0.5) -> list[Task]:
        """Tasks whose difficulty is near the wanted one, each with its own hidden tests."""
        rng = np.random.default_rng([seed, 61])
        near = sorted(SPECS, key=lambda spec: (abs(spec.difficulty - difficulty), spec.name))[:NEAR]
        tasks = []
        for number in range(n):
            spec = near[int(rng.integers(len(near)))]
            arguments = [*spec.edges, *(spec.draw(rng) for _ in range(TESTS - len(spec.edges)))]
            tests = [{"arguments": list(values), "expected": spec.reference(*values)} for values in arguments]
            text = f"Write a Python function {spec.name} that returns {spec.text}. Answer with the code alone."
            tasks.append(
                Task(
                    id=f"code-{seed}-{number}",
                    taskset=self.name,
                    seed=seed,
                    difficulty=spec.difficulty,
                    domain="code",
                    messages=({"role": "user", "content": text},),
                    token_budget=300,
                    payload={"function": spec.name, "tests": tests},
                    entity=spec.name,
                )
            )
        return tasks

    def score(self, task: Task, answer_text: str) -> Result:
        tests = [CallTest(test["arguments"], test["expected"]) for test in task.payload["tests"]]
        function = task.payload["function"]
        return by_calls(self.box, program(answer_text, function), function, tests, nonce=f"end-of-{task.id}")
