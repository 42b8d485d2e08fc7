"""What a model writes where JSON is wanted, against Python's own reader where both agree."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2model.chat.model_json import MAX_DEPTH, ModelJsonError, loads_arguments, loads_model_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(values)
def test_every_json_value_is_read_as_python_reads_it(value: object) -> None:
    text = json.dumps(value)
    assert loads_model_json(text) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "1" * 4301,
        '{"a": ' + "9" * 400 + "}",
        "[" * 1000,
        "[" * 20_000 + "]" * 20_000,
        '{"a":' * 5000,
        "NaN",
        "[Infinity]",
        "-1e999",
        "",
        "{",
        "{'a': 1}",
        '{"a": 1} extra',
        '"half',
    ],
)
def test_whatever_cannot_be_used_is_one_typed_failure(text: str) -> None:
    with pytest.raises(ModelJsonError) as failed:
        loads_model_json(text)
    assert len(str(failed.value)) < 100 and "\n" not in str(failed.value)


def test_brackets_inside_strings_are_no_depth() -> None:
    assert loads_model_json(json.dumps({"a": "[" * 5000})) == {"a": "[" * 5000}
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert json.dumps(loads_model_json(deep)) == deep


def test_half_a_surrogate_pair_becomes_the_replacement_character() -> None:
    assert loads_model_json('{"\\ud800a": ["\\udfff", "\\ud83d\\ude00"]}') == {"\ufffda": ["\ufffd", "😀"]}


@pytest.mark.parametrize("nothing", [None, "", "  ", "\n", "null", "{}", {}])
def test_a_call_without_arguments_has_none(nothing: object) -> None:
    assert loads_arguments(nothing) == {}  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["[]", "3", '"text"', "true", "{,}", 7])
def test_arguments_are_an_object(wrong: object) -> None:
    with pytest.raises(ModelJsonError):
        loads_arguments(wrong)  # type: ignore[arg-type]
