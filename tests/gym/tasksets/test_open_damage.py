import numpy as np
import pytest

from gym.tasksets.open_damage import FILLER, HELD, LEARNED, LONGER, answered, even_pairs, known_pairs
from gym.tasksets.open_ended import OpenPrompt

ONE = OpenPrompt(
    kind="plan",
    subject="ferry",
    text="The ferry of 8.15 leaves at 9.00 on Friday. Tell the guests.",
    rubric=("says 9.00", "short"),
    tokens=48,
    held_kind=False,
    answer="Dear guests. 1. The ferry leaves at 9.00 on Friday. Please come early.",
    must=("9.00",),
)
OTHER = OpenPrompt("plan", "tea", "How?", ("a", "b"), 48, False, "With water.", avoid=("milk",))


def _damaged(name: str, prompt: OpenPrompt = ONE, seed: int = 0) -> str | None:
    return (LEARNED | HELD)[name](prompt, [ONE, OTHER], np.random.default_rng(seed))


def test_each_damage_does_what_it_says() -> None:
    assert ONE.answer.startswith(_damaged("cut") or "?")
    assert _damaged("elsewhere") == OTHER.answer
    assert max(map((_damaged("repeated") or "").count, ONE.answer.split(". "))) == 3
    assert _damaged("demand") == "Dear guests. Please come early."
    assert _damaged("demand", OTHER) == "With water. In one word: milk."
    padded = _damaged("padding") or ""
    assert sum(filler in padded for filler in FILLER) == 3
    assert sorted((_damaged("salad") or "").split()) == sorted(ONE.answer.split())
    assert (_damaged("off_language") or "").startswith("Dear guests. ")
    assert ONE.text in (_damaged("echo") or "")


def test_only_a_number_of_the_data_is_changed() -> None:
    for seed in range(20):
        wrong = _damaged("number", seed=seed) or ""
        assert "9.00" not in wrong
        assert "1. The ferry" in wrong
        assert len(wrong) == len(ONE.answer)
    assert _damaged("number", OTHER) is None


def test_ten_kinds_of_damage_of_which_three_are_held() -> None:
    assert len(LEARNED) + len(HELD) >= 8
    assert len(HELD) == 3
    assert not set(LEARNED) & set(HELD)


def test_pairs_take_the_damages_in_turn_and_follow_the_seed() -> None:
    prompts = answered("train")
    pairs = known_pairs(prompts, LEARNED, 70, 4)
    assert pairs == known_pairs(prompts, LEARNED, 70, 4)
    assert pairs != known_pairs(prompts, LEARNED, 70, 5)
    names = [pair.damage for pair in pairs]
    assert {name: names.count(name) for name in LEARNED} == dict.fromkeys(LEARNED, 10)
    assert len({(pair.prompt.subject, pair.damage) for pair in pairs}) == 70
    assert all(pair.better == pair.prompt.answer != pair.worse for pair in pairs)


@pytest.mark.parametrize("damage", LEARNED)
def test_training_and_measuring_have_prompts_enough_for_every_damage(damage: str) -> None:
    for side in ("train", "held"):
        assert len(known_pairs(answered(side), {damage: LEARNED[damage]}, 12, 0)) == 12


@pytest.mark.parametrize("damage", HELD)
def test_measuring_has_prompts_enough_for_every_held_damage(damage: str) -> None:
    assert len(known_pairs(answered("held"), {damage: HELD[damage]}, 12, 0)) == 12


def test_even_pairs_answer_neither_and_differ_in_length() -> None:
    prompts = answered("held")
    pairs = even_pairs(prompts, 20, 1)
    assert len(pairs) >= 16
    for pair in pairs:
        assert pair.prompt.answer not in (pair.longer, pair.shorter)
        assert len(pair.longer.split()) >= LONGER * len(pair.shorter.split())
