import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.corpus.clean import ESCAPE, SUSPECT, UNSEEN, clean_text

SEPARATORS = ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\u2028", "\u2029", "\t"]
# What is seen as nothing wherever it stands.
NOTHING = "\x00\x01\x07\x0e\x7f\x80\x9f\ufeff"


def test_cleaning_normalises_and_keeps_the_words() -> None:
    assert clean_text("cafe\u0301\r\n\r\n\r\n\r\nx \x07\u200b y  \n") == "café\n\nx  y"


@pytest.mark.parametrize("separator", SEPARATORS)
def test_what_parts_words_still_parts_them(separator: str) -> None:
    assert clean_text(f"one{separator}First").split() == ["one", "First"]


@pytest.mark.parametrize(
    "text",
    [
        "می\u200cخواهم نامه\u200cها",  # Persian, non-joiners
        "\u200dه",  # an Arabic letter in its joined form
        "क\u094d\u200dष र\u094d\u200cय",  # Hindi, half forms
        "അവന\u0d4d\u200d",  # Malayalam, an old chillu at the end of a word
        "👨\u200d👩\u200d👧\u200d👦",
        "🙂\u200d↔\ufe0f",
        "🏳\ufe0f\u200d🌈",
        "👩🏽\u200d🚀",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "ภาษา\u200bไทย",  # Thai, where the zero-width space parts words
        "\u200eabc\u200f שלום \u202babc\u202c \u2067x\u2069",
        "神\ufa19 and \u2329x\u232a",  # NFC has other shapes for these
        "    an indented first line\nand another",
        "a\tb",
        "x² ﬁ ① ｆｕｌｌ ㎏",  # NFKC would flatten them
        "10\u00a0km",
        "ẹ\u0308 \u0e01\u0e33",
    ],
)
def test_what_a_reader_sees_stays(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("co\u00adoperate", "cooperate"),
        ("co\u00ad\noperate", "co-\noperate"),
        ("\ufeffone", "one"),
        ("N\x08NA\x08AM\x08ME\x08E _\x08x", "NAME x"),
        ("\x1b[1;31mred\x1b[0m text", "red text"),
        ("\x1b]0;title\x07a \x1b(Bb \x9b31mc \x1b]8;;http://x\x1b\\d\x1b]8;;\x1b\\", "a b c d"),
        ("half \ud83d pair", "half \ufffd pair"),
        ("a \u200d b", "a  b"),
        ("−\u200d(−3)", "−(−3)"),
        ("A\u030a", "Å"),
    ],
)
def test_what_a_reader_does_not_see_goes(text: str, seen: str) -> None:
    assert clean_text(text) == seen


def _seen(text: str) -> list[str]:
    """An independent reading: the words of a page, without what has no shape."""
    for separator in SEPARATORS:
        text = text.replace(separator, " ")
    return [unicodedata.normalize("NFD", word) for word in text.translate({ord(c): None for c in NOTHING}).split()]


LETTERS = st.characters(categories=["L", "M", "N", "P", "S", "Zs"])
TEXT = st.lists(st.one_of(LETTERS, st.sampled_from([*SEPARATORS, *NOTHING])), max_size=60).map("".join)


@given(TEXT)
def test_cleaning_never_changes_what_a_reader_sees(text: str) -> None:
    assert _seen(clean_text(text)) == _seen(text)


@given(st.text(st.characters(exclude_categories=[])))
def test_a_clean_text_is_clean(text: str) -> None:
    once = clean_text(text)
    once.encode()
    assert clean_text(once) == once
    assert not any(unicodedata.category(character) == "Cc" for character in once.replace("\n", "").replace("\t", ""))
    assert "\n\n\n" not in once


@given(st.characters())
def test_what_is_not_suspect_is_not_changed_by_what_suspects_are_searched_for(character: str) -> None:
    if not SUSPECT.search(character):
        assert UNSEEN.sub("", character) == character
        assert ESCAPE.sub("", character * 3) == character * 3
        assert clean_text(f"a{character}b") == clean_text(f"a{character}b\x1f")  # which is one
