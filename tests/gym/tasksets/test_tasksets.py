import json
from collections.abc import Iterator

import numpy as np
import pytest

from gym.sandbox import Sandbox, open_sandbox
from gym.tasksets.code import Code
from gym.tasksets.code_functions import SPECS
from gym.tasksets.elementary import FAMILIES, Elementary
from gym.tasksets.instructions import Instructions
from gym.tasksets.open import open_taskset
from gym.tasksets.shown import open_shown
from gym.tasksets.sides import side_of
from gym.verifiers.checkers import IFEVAL
from gym.verifiers.instructions import Instruction, claims, follows, verify
from gym.verifiers.result import Status


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with open_sandbox("fork", workers=1) as sandbox:
        yield sandbox


@pytest.mark.parametrize("family", FAMILIES)
def test_elementary_answers_are_right_and_sides_are_apart(family: str) -> None:
    train, held = Elementary(family), Elementary(family, "held")
    texts = {}
    for taskset in (train, held):
        tasks = taskset.tasks(60, 5, 0.3)
        assert tasks == taskset.tasks(60, 5, 0.3)
        for task in tasks:
            assert taskset.score(task, taskset.demonstration(task)).score == 1.0
            for wrong in task.payload["wrong"]:
                assert taskset.score(task, wrong).score == 0.0
        texts[taskset.side] = {task.messages[-1]["content"] for task in tasks}
    assert not texts["train"] & texts["held"]
    assert all(side_of(text) == "held" for text in texts["held"])
    assert train.score(train.tasks(1, 1)[0], " ").status is Status.NO_ANSWER


SOLUTIONS = {
    "add_all": "def add_all(xs): return sum(xs)",
    "count_vowels": "def count_vowels(s): return sum(c.lower() in 'aeiou' for c in s)",
    "only_even": "def only_even(xs): return [x for x in xs if not x % 2]",
    "second_largest": "def second_largest(xs):\n  s = sorted(set(xs))\n  return s[-2] if len(s) > 1 else None",
    "digit_sum": "def digit_sum(n): return sum(int(c) for c in str(n) if c.isdigit())",
    "merge_sorted": "def merge_sorted(a, b): return sorted(a + b)",
}


def test_code_tasks_accept_solutions_and_refuse_near_misses(box: Sandbox) -> None:
    taskset = Code(box)
    tasks = taskset.tasks(30, 2, 0.2)
    assert len({task.payload["function"] for task in tasks}) >= 4
    for task in tasks:
        name = task.payload["function"]
        if name in SOLUTIONS:
            assert taskset.score(task, f"Here:\n```python\n{SOLUTIONS[name]}\n```").score == 1.0
        assert taskset.score(task, f"def {name}(*a): return 0").score == 0.0
        assert taskset.score(task, taskset.demonstration(task)).score == 1.0
    assert {spec.name for spec in SPECS} >= set(SOLUTIONS)


CONSTANTS = (0, 1, "", [], None, True, False)


def test_every_function_to_write_gives_json_and_no_constant_passes_for_it() -> None:
    names = [spec.name for spec in SPECS]
    assert len(set(names)) == len(names) >= 200
    assert len({spec.text for spec in SPECS}) == len(names)
    for spec in SPECS:
        rng = np.random.default_rng(4)
        right = spec.reference()
        values = [right(*args) for args in (*spec.edges, *(spec.draw(rng) for _ in range(20)))]
        assert json.loads(json.dumps(values)) == values, spec.name
        assert not any(all(value == constant for value in values) for constant in CONSTANTS), spec.name


def test_official_instruction_checkers_and_the_hack_check() -> None:
    lower = Instruction("change_case:english_lowercase", {})
    comma = Instruction("punctuation:no_comma", {})
    words = Instruction("length_constraints:number_words", {"num_words": 5, "relation": "at least"})
    text = "the sea is calm and wide today"
    assert verify([lower, comma, words], "Write.", text).score == 1.0
    assert verify([lower, comma], "Write.", "The sea, the sky").reason.startswith("misses change_case")
    hacked = "The Sea. As requested, this text has no commas."
    assert claims(hacked)
    assert "hack" in verify([lower, comma], "Write.", hacked).reason
    assert verify([lower], "Write.", " ").status is Status.NO_ANSWER
    assert follows([comma], "Write.", "first, line\nno commas here", loose=True) == [True]
    assert follows([comma], "Write.", "first, line\nno commas here") == [False]


def test_instruction_tasks_use_all_25_and_are_proven() -> None:
    taskset = Instructions()
    tasks = taskset.tasks(75, 3)
    assert tasks == taskset.tasks(75, 3)
    used = [one["id"] for task in tasks for one in task.payload["instructions"]]
    assert set(used) == set(IFEVAL)
    assert {len(task.payload["instructions"]) for task in tasks} == {1, 2, 3}
    for task in tasks:
        assert taskset.score(task, task.payload["follows"]).score == 1.0
    other = [task.payload["follows"] for task in tasks[1:]] + [tasks[0].payload["follows"]]
    passed = [taskset.score(task, text).score for task, text in zip(tasks, other, strict=True)]
    assert sum(passed) < 20  # another task's text rarely will do


@pytest.mark.parametrize("name", ["arithmetic_words", "arithmetic_expressions", "instructions"])
def test_what_is_shown_is_right(name: str) -> None:
    shown = open_shown(name)
    tasks = shown.tasks(40, 6, 0.3)
    assert all(open_taskset(name).score(task, shown.demonstration(task)).score == 1.0 for task in tasks)
    with pytest.raises(ValueError, match="answers of 'facts' can't be shown"):
        open_shown("facts")
