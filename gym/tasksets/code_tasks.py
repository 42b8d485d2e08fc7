"""Small programming tasks with generated hidden tests: expected values come from a reference, edge cases included."""

import numpy as np

from gym.tasksets.code_functions import SPECS
from gym.tasksets.task import Task

TESTS = 24
NEAR = 100  # functions of about the wanted difficulty


class CodeTasks:
    """Function tasks, without the sandbox that scores them."""

    name = "code"

    def tasks(self, n: int, seed: int, difficulty: float = 0.5) -> list[Task]:
        """Tasks whose difficulty is near the wanted one, each with its own hidden tests."""
        rng = np.random.default_rng([seed, 61])
        near = sorted(SPECS, key=lambda spec: (abs(spec.difficulty - difficulty), spec.name))[:NEAR]
        tasks = []
        references = {spec.name: spec.reference() for spec in near}
        for number in range(n):
            spec = near[int(rng.integers(len(near)))]
            arguments = [*spec.edges, *(spec.draw(rng) for _ in range(TESTS - len(spec.edges)))]
            tests = [{"arguments": list(values), "expected": references[spec.name](*values)} for values in arguments]
            text = f"Write a Python function {spec.name} that returns {spec.text}. Answer with the code alone."
            tasks.append(
                Task(
                    id=f"code-{seed}-{number}",
                    taskset=self.name,
                    seed=seed,
                    difficulty=spec.difficulty,
                    domain="code",
                    messages=({"role": "user", "content": text},),
                    token_budget=200,
                    payload={"function": spec.name, "tests": tests, "source": spec.source},
                    entity=spec.name,
                )
            )
        return tasks

    def demonstration(self, task: Task) -> str:
        """What a perfect assistant says."""
        return str(task.payload["source"])
