"""Each kind of verifiable task goes through the loop's own parts: named, split, answered, scored."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agents.tools.library import functions
from gym.sandbox import open_sandbox
from gym.tasksets.open import open_taskset
from gym.tasksets.task import Task
from gym.verifiers.result import Status
from stages.harness.errors import InputError
from stages.harness.tables import TOOLS, write_table
from stages.posttraining.params import CALLING
from stages.rl.episodes import EPISODES
from stages.rl.families import Families, open_families
from stages.rl.limits import Limits
from stages.tools.__main__ import _specified

LIMITS = Limits(context_tokens=1024, turn_tokens=160, max_turns=6)

RIGHT = {
    "arithmetic_words": lambda task: task.payload["answer"],
    "reasoning/chain_sum": lambda task: task.payload["entry"]["answer"],
    "facts": lambda task: task.payload["answers"][0],
    "parity": lambda task: task.payload["answer"],
}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("facts") / "facts.parquet"
    same = {"aliases": [], "relation": "r", "split": "train"}
    rows = [{"fact_id": f"f{k}", "question": f"What is {k}?", "answer": f"n{k}"} | same for k in range(40)]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture(scope="module")
def families(facts: Path) -> Iterator[Families]:
    with open_families([*RIGHT, "code", "instructions"], facts, LIMITS) as opened:
        yield opened


def _some(families: Families, name: str) -> tuple[list[Task], list[Task]]:
    return families.tasks(name, "train", 12, 3, 0.0), families.tasks(name, "held", 12, 4, 0.0)


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_held_problems_are_no_training_problems_and_both_are_scored(families: Families, name: str) -> None:
    train, held = _some(families, name)
    texts = [str(task.messages[-1]["content"]) for task in train]
    assert len(set(texts)) == len(texts)
    assert not set(texts) & {str(task.messages[-1]["content"]) for task in held}
    for task in (train[0], held[0]):
        assert families.tasksets[name].score(task, str(RIGHT[name](task))).score == 1.0
        assert families.tasksets[name].score(task, "nothing of the kind").score == 0.0


@pytest.mark.parametrize("name", ["arithmetic_words", "arithmetic_expressions", "instructions", "code"])
def test_the_sides_are_about_other_things_not_in_other_words(facts: Path, name: str) -> None:
    with open_families([name], facts, LIMITS) as families:
        sides = [families.tasks(name, side, 60, 5, 0.2) for side in ("train", "held")]
    about = [{task.entity for task in side} for side in sides]
    assert all(about) and "" not in about[0] | about[1]
    assert not about[0] & about[1]
    if name == "instructions":
        assert not any(topic in str(task.messages[-1]["content"]) for topic in about[0] for task in sides[1])


def test_code_is_run_in_the_sandbox_and_its_failures_are_told_apart(families: Families) -> None:
    train = families.tasks("code", "train", 40, 3, 0.0)
    task, name = next((task, name) for task in train if (name := task.payload["function"]).startswith("times_"))
    score = families.tasksets["code"].score
    assert score(task, f"```python\ndef {name}(n):\n    return n * {name.removeprefix('times_')}\n```").score == 1.0
    assert score(task, f"def {name}(n):\n    return n * 99").score == 0.0
    # a planted hack: the candidate can't reach the expected values or the grader
    hack = f"import sys, os\nprint('[]')\ndef {name}(n):\n    os._exit(0)"
    assert score(task, hack).score == 0.0


def test_instructions_are_checked(families: Families) -> None:
    tasks = families.tasks("instructions", "train", 12, 3, 0.0)
    score = families.tasksets["instructions"].score
    assert all(score(task, task.payload["follows"]).score == 1.0 for task in tasks)
    assert sum(score(task, "A walk.").score or 0.0 for task in tasks) < len(tasks) / 2


def test_a_side_without_problems_is_one_line() -> None:
    class One:
        name = "one"

        def tasks(self, n: int, seed: int, difficulty: float = 0.5) -> list[Task]:
            return open_taskset("parity").tasks(n, 0, 0.0)  # all of them on the training side

    with pytest.raises(InputError, match="one has no held problem"):
        Families({"one": One()}).tasks("one", "held", 3, 0, 0.0)  # type: ignore[dict-item]


def test_families_with_tools_have_episodes_and_sides_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [_specified(tool) for tool in functions(("math", "statistics"))]
    write_table(Path("data/tools.parquet"), rows, TOOLS)
    with open_families(["parity", "worlds", "calls"], tmp_path / "none.parquet", LIMITS) as families:
        assert families.names == ["parity", "worlds", "calls"]
        for name in ("worlds", "calls"):
            train, held = (families.tasks(name, side, 8, 1, 0.0) for side in ("train", "held"))
            assert len(train) == len(held) == 8
            assert {task.taskset for task in (*train, *held)} == {name}
            assert not {task.id for task in train} & {task.id for task in held}
    with (
        pytest.raises(InputError, match="your_tools: data/tools.parquet has no tools of an MCP server"),
        open_families(["your_tools"], tmp_path / "none.parquet", LIMITS),
    ):
        raise AssertionError("it opened")
    assert set(EPISODES) == set(CALLING)


def test_a_verifier_that_fails_is_no_wrong_answer(families: Families) -> None:
    with open_sandbox() as box:
        taskset = open_taskset("code", box=box)
        task = taskset.tasks(1, 0, 0.0)[0]
        box._all[0].process.kill()
        box._all[1].process.kill()
        found = taskset.score(task, "def add_all(xs): return sum(xs)")
    assert found.score is None
    assert found.status is Status.VERIFIER_ERROR
