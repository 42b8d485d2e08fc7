import numpy as np
import pytest

from gym.mutants import code_only, mutants


def _mutated(source: str) -> list[str]:
    return sorted(mutant.applied(source) for mutant in mutants(source, np.random.default_rng(0)))


def test_texts_and_comments_are_left_alone() -> None:
    source = '// a < b\nx = "1 < 2"; if (a < 3) { y = a + 1; }\n'
    found = _mutated(source)
    assert len(found) == 4
    assert all(one.startswith('// a < b\nx = "1 < 2";') for one in found)
    assert any("a <= 3" in one for one in found) and any("a - 1" in one for one in found)


@pytest.mark.parametrize(
    ("source", "hidden"),
    [
        ("x = /1 < 2/g.test(y);", ["/1 < 2/g"]),
        ("x = a / 1 / b;", []),
        ("x = (a) / 1 / b[2] / 3;", []),
        ("f(/[/'\"`]+/, 'x'); g('y')", ["/[/'\"`]+/", "'x'", "'y'"]),
        ("return /\\/1/ && 2", ["/\\/1/"]),
        ("x = y[1] / 2; // 3\nz", ["// 3"]),
        ("x = `a ${b < `1` ? c : 2} d` + 3", ["`a ${b < `1` ? c : 2} d`"]),
        ("x = `a ${ {b: `1`} } \\` c` + 3", ["`a ${ {b: `1`} } \\` c`"]),
        ("x = 'it\\'s < 1'; y", ["'it\\'s < 1'"]),
        ("/* 1 < 2 */ x /* 3 */", ["/* 1 < 2 */", "/* 3 */"]),
        ("#define A 1 < 2\nint x = 'a' / 2;", ["#define A 1 < 2", "'a'"]),
    ],
)
def test_only_code_is_left(source: str, hidden: list[str]) -> None:
    expected = source
    for text in hidden:
        expected = expected.replace(text, " " * len(text), 1)
    assert code_only(source) == expected


def test_truth_values_and_each_place_once() -> None:
    assert _mutated("x = true && !y;") == ["x = false && !y;", "x = true || !y;"]
    source = "if (a >= 10 && b !== 0x1F) c += d % 2;"
    found = _mutated(source)
    assert len(found) == len(set(found)) == 7 and source not in found


def test_the_order_is_the_seed_s() -> None:
    source = "a < b; c > d; e + 1; f - 2; g * 3;"
    first, again, other = ([*mutants(source, np.random.default_rng(seed))] for seed in (1, 1, 2))
    assert first == again != other and sorted(map(str, first)) == sorted(map(str, other))
