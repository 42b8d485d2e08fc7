import pytest

from stages.corpus.deduplicate import drop_exact, drop_near
from stages.corpus.document import Document

WORDS = "the quick brown fox jumps over a lazy dog while seven green birds watch from an old oak tree near the river"
CHINESE = (
    "北京是中华人民共和国的首都，是全国的政治中心、文化中心，也是一座有着三千多年历史的古都，城中有许多宫殿和园林。"
)
JAPANESE = (
    "東京は日本の首都であり、世界最大級の都市圏を形成している。多くの企業と大学がここに集まり、人口は増え続けている。"
)


def _documents(texts: list[str]) -> list[Document]:
    return [Document(str(number), "", text, "test", "none") for number, text in enumerate(texts)]


def _kept(texts: list[str], threshold: float = 0.8) -> list[int]:
    return [int(document.doc_id) for document in drop_near(drop_exact(_documents(texts)), threshold)]


def test_exact_and_near_duplicates_go_the_first_stays() -> None:
    near = WORDS.replace("river", "lake")
    other = " ".join(reversed(WORDS.split()))
    exact = drop_exact(_documents([WORDS, WORDS.upper(), near, other]))
    assert [document.doc_id for document in exact] == ["0", "2", "3"]
    assert [document.doc_id for document in drop_near(exact, 0.7)] == ["0", "3"]
    assert len(drop_near(exact, 1.0)) == 3


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
def test_documents_with_little_or_nothing_that_is_a_word_are_not_each_others_duplicates(texts: list[str]) -> None:
    assert _kept(texts) == list(range(len(texts)))
    assert _kept([*texts, *texts]) == list(range(len(texts)))


def test_near_duplicates_are_found_in_scripts_without_blanks() -> None:
    long = CHINESE + JAPANESE
    assert _kept([long * 3, JAPANESE * 3, long * 3 + "。完"]) == [0, 1]


def test_the_same_id_twice_is_no_fault() -> None:
    twice = [Document("same", "", text, "test", "none") for text in (WORDS, CHINESE)]
    assert drop_near(twice, 0.8) == twice
