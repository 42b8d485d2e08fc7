from pathlib import Path

import pytest

from stages.corpus.deduplicate import EXACT, KEPT, NEAR
from tests.stages.corpus.made import old_verdicts, random_texts, verdicts_of

WORDS = "the quick brown fox jumps over a lazy dog while seven green birds watch from an old oak tree near the river"
CHINESE = (
    "北京是中华人民共和国的首都，是全国的政治中心、文化中心，也是一座有着三千多年历史的古都，城中有许多宫殿和园林。"
)
JAPANESE = (
    "東京は日本の首都であり、世界最大級の都市圏を形成している。多くの企業と大学がここに集まり、人口は増え続けている。"
)


def test_exact_and_near_duplicates_go_the_first_stays(tmp_path: Path) -> None:
    near = WORDS.replace("river", "lake")
    texts = [WORDS, WORDS.upper(), near, " ".join(reversed(WORDS.split()))]
    assert verdicts_of(tmp_path / "a", texts, 0.7) == [KEPT, EXACT, NEAR, KEPT]
    assert verdicts_of(tmp_path / "b", texts, 1.0) == [KEPT, EXACT, KEPT, KEPT]


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.8, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_rule_is_that_of_a_list_of_documents_one_after_the_other(
    tmp_path: Path, seed: int, threshold: float
) -> None:
    texts = random_texts(seed, 150)
    wanted = old_verdicts(texts, threshold)
    assert {KEPT, EXACT} <= set(wanted)
    for pieces in (1, 7):
        assert verdicts_of(tmp_path, texts, threshold, pieces) == wanted


def test_near_duplicates_of_what_is_gone_itself_stay(tmp_path: Path) -> None:
    """A chain: the second is near the first and the third near the second, but not the first."""
    words = [f"w{number}" for number in range(100)]
    chain = [" ".join(words[shift : shift + 60]) for shift in range(0, 24, 3)]
    wanted = old_verdicts(chain, 0.8)
    assert wanted.count(NEAR) >= 3 and wanted[1:].count(KEPT) >= 1
    assert verdicts_of(tmp_path, chain, 0.8) == wanted


def test_no_document_is_a_corpus_too(tmp_path: Path) -> None:
    assert verdicts_of(tmp_path, [], 0.8) == []


@pytest.mark.parametrize(
    "texts",
    [
        [emoji * 90 for emoji in "😀🚀🌈🍕🎻🐢"],
        ["┌──┬──┐\n│  │  │\n└──┴──┘\n" * 5, "╔════╗\n║    ║\n╚════╝\n" * 5, "┌──┬──┐\n├──┼──┤\n└──┴──┘\n" * 5],
        ["  /\\  \n /  \\ \n/____\\\n" * 6, " /\\\n/  \\\n/____\\\n" * 6],  # the same marks, other blanks
        ["∫ x² + y² = z²; " * 8, "∫ x² − y² ≠ z²; " * 8, "∮ x² · y² ≤ z²; " * 8],
        ["x^2 + y^2 = z^2\n" * 6, "x^2 - y^2 = z^2\n" * 6, "x*2 / y*2 > z*2\n" * 6],
        ["a + b = c", "a - b = c", "a * b = c", "a/b = c", "a % b = c"],
        ["x = (m * n) if m & n else 0\n" * 5, "x = (m / n) if m % n else 0\n" * 5],
        ["♞ to e5, ♝ takes\n" * 6, "♟ to e5, ♜ takes\n" * 6],
        ["... --- ... " * 10, "--. --- -.. " * 10],
        ["⠠⠓⠑⠇⠇⠕ " * 15, "⠠⠺⠕⠗⠇⠙ " * 15],
        ["!!! ??? " * 12, "... ,,, " * 12],
        [CHINESE, JAPANESE, CHINESE[::-1]],
        ["今日はとても良い天気です" * 8, "明日はたぶん雨が降ります" * 8],
        ["วันนี้อากาศดีมาก" * 8, "พรุ่งนี้ฝนจะตก" * 8],
    ],
)
def test_documents_with_little_or_nothing_that_is_a_word_are_not_each_others_duplicates(
    tmp_path: Path, texts: list[str]
) -> None:
    assert verdicts_of(tmp_path, [*texts, *texts], 0.8) == [KEPT] * len(texts) + [EXACT] * len(texts)


def test_near_duplicates_are_found_in_scripts_without_blanks(tmp_path: Path) -> None:
    long = CHINESE + JAPANESE
    assert verdicts_of(tmp_path, [long * 3, JAPANESE * 3, long * 3 + "。完"], 0.8) == [KEPT, KEPT, NEAR]
