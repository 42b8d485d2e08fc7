from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from gym.benchmarks.arena_battles import PROMPTS as ARENA
from gym.decontaminate import Index, clean_tasks, words_of
from gym.tasksets.open_ended import OpenPromptError, read_prompts, tasks
from gym.tasksets.sides import side_of

HELD_KINDS = {"advise", "describe"}


def test_twelve_kinds_have_their_prompts_and_answers() -> None:
    prompts = read_prompts()
    kinds = Counter(prompt.kind for prompt in prompts)
    answers = Counter(prompt.kind for prompt in prompts if prompt.answer)
    assert len(kinds) == 12
    assert min(kinds.values()) >= 35
    assert set(answers) == set(kinds)
    assert min(answers.values()) >= 10
    assert all(48 <= prompt.tokens <= 160 for prompt in prompts)
    assert len({prompt.subject for prompt in prompts}) == len(prompts)


def test_no_two_prompts_are_nearly_the_same() -> None:
    words = [(prompt.subject, words_of(prompt.text)) for prompt in read_prompts()]
    grams = [(subject, {tuple(own[at : at + 5]) for at in range(max(1, len(own) - 4))}) for subject, own in words]
    for (one, first), (other, second) in combinations(grams, 2):
        assert len(first & second) <= 0.2 * min(len(first), len(second)), (one, other)


def test_sides_are_apart_by_subject_and_two_kinds_are_held() -> None:
    train, held = tasks(1000, 3), tasks(1000, 3, "held")
    assert len(train) + len(held) == len(read_prompts())
    assert not {task.entity for task in train} & {task.entity for task in held}
    assert {task.domain for task in held} > HELD_KINDS
    assert not {task.domain for task in train} & HELD_KINDS
    assert {side_of(task.entity) for task in train} == {"train"}
    assert all(side_of(task.entity) == "held" for task in held if task.domain not in HELD_KINDS)


def test_a_draw_is_of_different_prompts_and_follows_the_seed() -> None:
    drawn = tasks(50, 3)
    assert len({task.id for task in drawn}) == 50
    assert drawn == tasks(50, 3)
    assert {task.id for task in drawn} != {task.id for task in tasks(50, 4)}
    assert all(task.payload["rubric"].count("; ") in (1, 2, 3) for task in drawn)


def test_no_prompt_shares_thirteen_words_with_the_arenas() -> None:
    index = Index()
    index.add("arena", ARENA)
    every = [*tasks(1000, 0), *tasks(1000, 0, "held")]
    assert clean_tasks(every, index) == (every, {})
    index.add("planted", [f"{every[5].messages[-1]['content']} and then a few more words after it"])
    kept, dropped = clean_tasks(every, index)
    assert (len(kept), dropped) == (len(every) - 1, {"planted": 1})


GOOD = {"subject": "a", "prompt": "Do it.", "rubric": ["done", "short"], "answer": "Done by noon.", "must": ["noon"]}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"rubric": ["one"]}, "prompt 1: 1 points in the rubric, not 2 to 4"),
        ({"rubric": ["one", True]}, "prompt 1: rubric holds something else than texts: ['one', True]"),
        ({"promt": "x"}, "prompt 1: unknown key 'promt'"),
        ({"subject": ""}, "prompt 1: subject missing"),
        ({"prompt": 7}, "prompt 1: prompt is no str: 7"),
        ({"answer": "Done."}, "prompt 1: the answer does not hold 'noon'"),
        ({"avoid": ["DONE"]}, "prompt 1: the answer holds 'DONE'"),
        ({"answer": "noon " * 81}, "prompt 1: an answer of more than 80 words"),
    ],
)
def test_a_bad_prompt_is_one_line(tmp_path: Path, change: dict, line: str) -> None:
    path = tmp_path / "kind.yaml"
    path.write_text(yaml.safe_dump({"kind": "k", "tokens": 48, "prompts": [GOOD | change]}))
    with pytest.raises(OpenPromptError) as caught:
        read_prompts(tmp_path)
    assert str(caught.value) == f"{path}: {line}"


@pytest.mark.parametrize(
    ("text", "line"), [("a: [", "not YAML: "), ("- 1", "not a mapping"), ("kind: k", "tokens, prompts missing")]
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "kind.yaml").write_text(text)
    with pytest.raises(OpenPromptError) as caught:
        read_prompts(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'kind.yaml'}: {line}")
    assert "\n" not in str(caught.value)
