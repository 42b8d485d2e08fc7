import pytest
from scipy.stats import binomtest

from gym.intervals import bootstrap_mean, wilson


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (57, 400)])
def test_wilson_equals_scipy(k: int, n: int) -> None:
    reference = binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k, n) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_wilson_refuses_what_is_no_proportion() -> None:
    with pytest.raises(ValueError, match="5 of 4"):
        wilson(5, 4)


def test_bootstrap_covers_the_mean_and_repeats() -> None:
    values = [0.0, 1.0] * 100
    low, high = bootstrap_mean(values, seed=1)
    assert low < 0.5 < high
    assert (low, high) == bootstrap_mean(values, seed=1)
    assert 0.05 < high - low < 0.2
