"""Reading the beginning of a JSON text, in one go or as it grows."""

import pytest

from k2model.inference.json_schema.begun import scan

TEXTS = [
    '{"a": "x, y", "b": [1, -2.5e3, true, [], {}], "c": {"d": null, "e\\"": "\\u00e9"}}',
    '[[1, 2], ["a", {"b": [3]}], 12, "z"]',
    '"only \\\\ text"',
    "-1.5e-3",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_on_as_it_would_be_read_at_once(text: str) -> None:
    for first in range(len(text) + 1):
        for second in range(first, len(text) + 1):
            before = scan(text[:first])
            kept = repr(before)
            assert scan(text[:second], before) == scan(text[:second])
            assert repr(before) == kept


def test_open_values_and_where_the_begun_part_starts() -> None:
    text = '{"a": [1, {"b": "x'
    begun = scan(text)
    assert [(frame.is_object, frame.state, frame.key) for frame in begun.frames] == [
        (True, "value", "a"),
        (False, "value", ""),
        (True, "value", "b"),
    ]
    assert begun.frames[1].items == [1]
    assert text[begun.at :] == '"x'
    assert not begun.whole
    assert all(scan(text).whole for text in ("[]", '{"a": [1]}', '"x"'))
