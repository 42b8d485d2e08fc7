"""What the curves of the critic say of judges whose faults are known."""

from collections.abc import Sequence

import pytest

from gym.tasksets.elementary import Elementary
from gym.tasksets.open_damage import HELD, LEARNED, answered, even_pairs, known_pairs
from stages.posttraining.comparison import Comparison
from stages.rl.held_critic import accuracy, open_measures

WRITTEN = {prompt.text: prompt.answer for prompt in answered("held")}


def _knows(asked: Sequence[Comparison]) -> list[float]:
    """Prefers the written answer, and of two others none."""
    good = [WRITTEN[one.question] for one in asked]
    return [0.5 + 0.4 * ((one.first == right) - (one.second == right)) for one, right in zip(asked, good, strict=True)]


def _first(asked: Sequence[Comparison]) -> list[float]:
    return [0.9] * len(asked)


def _long(asked: Sequence[Comparison]) -> list[float]:
    lengths = [(len(one.first.split()), len(one.second.split())) for one in asked]
    return [0.5 + 0.4 * ((first > second) - (first < second)) for first, second in lengths]


def test_a_judge_who_knows_has_full_agreement_and_no_bias() -> None:
    found = open_measures(_knows, 48, 1)
    assert found == {
        "held_critic_agreement": 1.0,
        "held_critic_agreement_kinds": 1.0,
        "held_critic_agreement_damage": 1.0,
        "held_critic_length_bias": 0.0,
        "held_critic_position_bias": 0.0,
        "held_critic_missing": 0.0,
    }


def test_a_judge_who_is_always_wrong_agrees_with_nothing() -> None:
    assert open_measures(lambda asked: [1 - one for one in _knows(asked)], 48, 1)["held_critic_agreement"] == 0.0


def test_a_liking_for_the_first_place_is_seen_and_gives_no_agreement() -> None:
    found = open_measures(_first, 48, 1)
    assert found["held_critic_position_bias"] == 0.5
    assert found["held_critic_agreement"] == 0.5
    assert found["held_critic_length_bias"] == 0.0
    assert open_measures(lambda asked: [0.1] * len(asked), 48, 1)["held_critic_position_bias"] == -0.5


def test_a_liking_for_long_answers_is_seen() -> None:
    found = open_measures(_long, 48, 1)
    assert found["held_critic_length_bias"] == 0.5
    assert found["held_critic_position_bias"] == 0.0
    assert found["held_critic_agreement"] < 0.8


def test_what_has_no_verdict_is_counted_and_is_no_tie() -> None:
    calls: list[int] = []

    def lossy(asked: Sequence[Comparison]) -> list[float | None]:
        calls.append(len(asked))
        return [None if k == 0 else chance for k, chance in enumerate(_knows(asked))]

    found = open_measures(lossy, 48, 1)
    assert (found["held_critic_missing"], found["held_critic_agreement"]) == (pytest.approx(1 / 48), 1.0)
    assert calls == [96], "one batch, both orders"
    assert open_measures(lambda asked: [None] * len(asked), 48, 1) == {"held_critic_missing": 1.0}


def test_nothing_that_measures_is_trained_on() -> None:
    learned = {pair.prompt.text for pair in known_pairs(answered("train"), LEARNED, 1000, 0)}
    measured = {pair.prompt.text for pair in known_pairs(answered("held"), LEARNED | HELD, 1000, 0)}
    measured |= {pair.prompt.text for pair in even_pairs(answered("held"), 100, 0)}
    assert not learned & measured
    assert not set(LEARNED) & set(HELD)


@pytest.mark.parametrize(("right", "share"), [(True, 1.0), (False, 0.0)])
def test_accuracy_on_held_problems_is_the_share_of_right_answers_preferred(right: bool, share: float) -> None:
    tasks = Elementary("parity", "held").tasks(6, 0)
    answers = {str(task.messages[-1]["content"]): task.payload["answer"] for task in tasks}

    def judge(asked: Sequence[Comparison]) -> list[float]:
        return [0.9 if (one.first == answers[one.question]) == right else 0.1 for one in asked]

    assert accuracy(judge, tasks, 6) == share
    assert accuracy(_first, tasks, 6) == 0.5
    assert accuracy(lambda asked: [None] * len(asked), tasks, 6) is None
