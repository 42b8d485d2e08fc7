import pytest

from stages.rl.prompts import TRIED, Pool, shares
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


def test_solved_and_hopeless_tasks_leave_the_pool() -> None:
    import numpy as np

    pool = Pool.fresh(4)
    pool.record(0, [1.0] * TRIED)
    pool.record(1, [0.0] * TRIED)
    pool.record(2, [1.0, 0.0] * TRIED)
    assert pool.moderate() == [2, 3]
    picks = [pool.choose(1, np.random.default_rng(seed))[0] for seed in range(200)]
    assert set(picks) == {2, 3}


def test_harder_tasks_come_more_often() -> None:
    import numpy as np

    pool = Pool.fresh(2)
    pool.record(0, [1.0] * 9 + [0.0])
    pool.record(1, [1.0] + [0.0] * 9)
    picks = [pool.choose(1, np.random.default_rng(seed))[0] for seed in range(300)]
    assert picks.count(1) / picks.count(0) == pytest.approx((1 - pool.rate(1)) / (1 - pool.rate(0)), rel=0.4)


def test_shares_are_even() -> None:
    assert shares(8, ["a", "b", "c"]) == {"a": 3, "b": 3, "c": 2}
