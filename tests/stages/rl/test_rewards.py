import numpy as np
import pytest

from stages.rl.prompts import REST, Pool, shares
from stages.rl.rewards import Toggle, budget_from, length_rewards, repeats


def test_length_rewards_follow_the_rule() -> None:
    assert length_rewards([10, 20, 30], [True, True, False]) == pytest.approx([0.5, 0.0, -0.5])
    assert length_rewards([10, 30], [False, True]) == pytest.approx([0.0, -0.5])
    assert length_rewards([7, 7], [True, False]) == [0.0, 0.0]


def test_loops_are_seen_and_prose_is_not() -> None:
    assert repeats([1, 2, 9, 9, 9, 9])
    assert repeats([5, 1, 2, 1, 2, 1, 2, 1, 2])
    assert not repeats([1, 2, 3, 1, 2, 3, 1, 2])
    assert not repeats([9, 9, 9])


def test_toggle_takes_rewards_only_in_its_budgeted_phase() -> None:
    toggle = Toggle(every=2, accuracy=0.5, budget=10)
    assert toggle.keeps(0, 0.9, 10)
    assert not toggle.keeps(1, 0.9, 11)
    assert toggle.keeps(1, 0.4, 11)
    assert toggle.keeps(2, 0.9, 11)
    assert budget_from([1, 2, 3, 4, 100], 75) == 4


def test_solved_and_hopeless_tasks_leave_the_pool_and_come_back_after_a_rest() -> None:
    pool = Pool.fresh(4)
    for index, scores in ((0, [1.0] * 8), (1, [0.0] * 8), (2, [1.0, 0.0] * 8)):
        pool.record(index, 3, scores)
    assert pool.moderate(range(4), 4) == [2, 3]
    assert pool.moderate([0, 1], 4) == [0, 1]  # none is left: all are
    assert pool.moderate(range(4), 3 + REST) == [0, 1, 2, 3]
    picks = [pool.choose(1, 4, [""] * 4, np.random.default_rng(seed))[0] for seed in range(200)]
    assert set(picks) == {2, 3}


def test_a_task_that_is_forgotten_is_no_longer_solved() -> None:
    pool = Pool.fresh(1)
    for iteration in range(5):
        pool.record(0, iteration, [1.0] * 8)
    pool.record(0, 5, [0.0] * 8)
    assert pool.rate(0) < 0.6


def test_harder_tasks_come_more_often() -> None:
    pool = Pool.fresh(2)
    pool.record(0, 0, [1.0] * 7 + [0.0])
    pool.record(1, 0, [1.0] + [0.0] * 7)
    picks = [pool.choose(1, 1, ["", ""], np.random.default_rng(seed))[0] for seed in range(300)]
    assert picks.count(1) / picks.count(0) == pytest.approx((1 - pool.rate(1)) / (1 - pool.rate(0)), rel=0.4)


def test_few_answers_get_equal_shares_and_many_are_not_told_apart() -> None:
    answers = ["odd"] * 30 + ["even"] * 6
    for seed in range(20):
        chosen = Pool.fresh(36).choose(8, 0, answers, np.random.default_rng(seed))
        assert sorted(answers[k] for k in chosen) == ["even"] * 4 + ["odd"] * 4
        assert len(set(chosen)) == 8
    odd = [Pool.fresh(36).choose(7, 0, answers, np.random.default_rng(seed)) for seed in range(20)]
    assert {sum(answers[k] == "odd" for k in chosen) for chosen in odd} == {3, 4}  # the odd one out goes to either
    unlike = [str(k) for k in range(36)]
    assert len(Pool.fresh(36).choose(8, 0, unlike, np.random.default_rng(0))) == 8


def test_shares_are_even() -> None:
    assert shares(8, ["a", "b", "c"]) == {"a": 3, "b": 3, "c": 2}
