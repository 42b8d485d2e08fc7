import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.corpus.clean import clean_text
from stages.corpus.sketch import PERMUTATIONS, band_keys, is_prose, signatures, tokens
from tests.stages.corpus.made import FRAGMENTS, old_is_prose, old_sketch, old_tokens, random_texts

TEXT = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(" ".join)).map(clean_text)


@given(TEXT)
def test_tokens_and_prose_are_what_they_were_character_by_character(text: str) -> None:
    assert tokens(text) == old_tokens(text)
    assert is_prose(text) == old_is_prose(text)


@pytest.mark.parametrize("seed", range(3))
def test_signatures_are_those_of_the_library(seed: int) -> None:
    texts = ["", "one", "one two three four five", *random_texts(seed, 200)]
    found = signatures(texts)
    assert found.shape == (len(texts), PERMUTATIONS)
    for signature, text in zip(found, texts, strict=True):
        assert signature.tolist() == old_sketch(text).hashvalues.tolist()


def test_keys_of_bands_are_equal_where_every_value_is() -> None:
    found = signatures(["one two three four five six", "one two three four five seven", "one two three four five six"])
    keys = band_keys(found, 5, 11)
    for band in range(5):
        part = found[:, band * 11 : band * 11 + 11]
        assert (keys[0, band] == keys[1, band]) == (part[0] == part[1]).all()
        assert keys[0, band] == keys[2, band]
