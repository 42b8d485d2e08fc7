import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gym.sandbox import open_sandbox
from gym.tasksets.arithmetic import Arithmetic
from gym.tasksets.facts import Facts
from gym.tasksets.open import open_taskset
from gym.tasksets.reasoning import FAMILIES, ReasoningFamily
from gym.verifiers.result import Status

SIGNS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.BinOp):
        return SIGNS[type(node.op)](_value(node.left), _value(node.right))
    assert isinstance(node, ast.Constant)
    return Fraction(node.value)


@pytest.mark.parametrize("difficulty", [0.0, 0.5, 1.0])
def test_expressions_have_the_value_that_python_gives(difficulty: float) -> None:
    taskset = Arithmetic("expressions")
    for task in taskset.tasks(50, 3, difficulty):
        text = task.messages[0]["content"].removeprefix("What is ").partition("?")[0]
        tree = ast.parse(text, mode="eval")
        assert isinstance(tree, ast.Expression)
        assert taskset.score(task, f"I get\n{_value(tree.body)}").score == 1.0
        assert taskset.score(task, str(_value(tree.body) + 1)).score == 0.0
    assert taskset.tasks(5, 3) == taskset.tasks(5, 3) != taskset.tasks(5, 4)


def test_word_problems_agree_with_a_second_reading() -> None:
    taskset = Arithmetic("words")
    kinds = set()
    for task in taskset.tasks(200, 9, 0.7):
        text = task.messages[0]["content"]
        numbers = [int(n) for n in re.findall(r"\d+", text)]
        if "train" in text:
            answer, kind = f"{sum(a * b for a, b in zip(numbers[::2], numbers[1::2], strict=True)) / 60} km", "train"
        elif "shared" in text:
            answer, kind = str(numbers[0] % numbers[1]), "shared"
        elif "jars" in text:
            answer, kind = f"{numbers[0] * 1000 + numbers[1] * numbers[2]} g", "jars"
        else:
            total = numbers[0]
            for packs, each, gone in re.findall(r"buys (\d+) boxes of (\d+)|gives (\d+) away", text):
                total += int(packs) * int(each) if packs else -int(gone)
            answer, kind = str(total), "boxes"
        assert taskset.score(task, answer).score == 1.0, (text, answer)
        assert taskset.score(task, "1234567").score == 0.0
        kinds.add(kind)
    assert kinds == {"train", "shared", "jars", "boxes"}


@pytest.mark.parametrize("family", ["chain_sum", "knights_knaves", "gsm_symbolic", "mini_sudoku", "time_intervals"])
def test_reasoning_families_score_their_own_answers(family: str) -> None:
    _check_family(family)


@pytest.mark.slow
def test_every_reasoning_family_scores_its_own_answers() -> None:
    assert len(FAMILIES) >= 75
    for family in FAMILIES:
        _check_family(family)


def _check_family(family: str) -> None:
    taskset = ReasoningFamily(family)
    for difficulty in (0.0, 0.6):
        tasks = taskset.tasks(2, 5, difficulty)
        assert [t.messages for t in tasks] == [t.messages for t in ReasoningFamily(family).tasks(2, 5, difficulty)]
        for task in tasks:
            gold = task.payload["entry"]["answer"]
            assert taskset.score(task, f"Let me see.\nAnswer: {gold}").score == pytest.approx(1.0), (family, gold)
            nonsense = taskset.score(task, "Answer: zzz")
            assert nonsense.score is not None, (family, nonsense)
            assert nonsense.score <= 0.2, (family, nonsense)
            assert taskset.score(task, "Answer:  ").status is Status.NO_ANSWER


def test_families_that_run_the_answer_are_refused() -> None:
    with pytest.raises(ValueError, match="no reasoning family 'countdown'"):
        ReasoningFamily("countdown")


def test_facts_come_from_the_split_and_match_aliases(tmp_path: Path) -> None:
    rows = [
        {"fact_id": f"f{k}", "question": f"Capital of {k}?", "answer": "The Hague" if k == 1 else "x" * k,
         "aliases": ["Den Haag"], "relation": "capital", "split": "train" if k < 8 else "validation"}
        for k in range(1, 10)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "facts.parquet")
    taskset = Facts(tmp_path / "facts.parquet")
    tasks = taskset.tasks(20, 1)
    assert {task.id for task in tasks} == {f"f{k}" for k in range(1, 8)}
    first = next(task for task in tasks if task.id == "f1")
    assert taskset.score(first, "Thinking.\n the hague.").score == 1.0
    assert taskset.score(first, "DEN HAAG").score == 1.0
    assert taskset.score(first, "It is not The Hague").score == 0.0
    assert taskset.score(first, " ! ").status is Status.NO_ANSWER
    easy, hard = taskset.tasks(3, 1, 0.0), taskset.tasks(3, 1, 1.0)
    assert sum(t.difficulty for t in easy) < sum(t.difficulty for t in hard)
    with pytest.raises(ValueError, match="no fact of split 'test'"):
        Facts(tmp_path / "facts.parquet", "test")


def test_tasksets_open_by_name() -> None:
    for name in ("parity", "arithmetic_words", "arithmetic_expressions", "instructions", "reasoning/gcd"):
        taskset = open_taskset(name)
        assert taskset.name == name
        assert len(taskset.tasks(2, 1)) == 2
    with pytest.raises(ValueError, match="no taskset 'nothing'"):
        open_taskset("nothing")
    with pytest.raises(ValueError, match="taskset code needs an open sandbox"):
        open_taskset("code")
    with pytest.raises(ValueError, match="taskset facts needs the path"):
        open_taskset("facts")
    with open_sandbox("fork", workers=1) as box:
        assert open_taskset("code", box=box).name == "code"
