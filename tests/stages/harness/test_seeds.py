from stages.harness.seeds import rng, sub_seed


def test_names_are_independent_and_stable() -> None:
    assert sub_seed(0, "corpus", "split") == sub_seed(0, "corpus", "split")
    assert len({sub_seed(seed, name) for seed in range(10) for name in ("a", "b", "c")}) == 30
    assert 0 <= sub_seed(1, "x") < 2**63
    assert rng(0, "a").integers(1 << 30) == rng(0, "a").integers(1 << 30)
