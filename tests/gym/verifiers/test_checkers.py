import socket
from typing import Any

import pytest

from gym.verifiers.checkers import IFEVAL, ifbench, make
from gym.verifiers.instructions import Instruction, follows, verify
from gym.verifiers.result import Status

TEXTS = [
    "hello",
    "Dr. Smith went to the U.S. He liked it!",
    "* a\n* b\n\nc",
    "a,b\n1,2",
    "...",
    "日本語",
    "(())",
    "x\n***\ny",
    "[" * 5000,
    '{"a":' * 3000,
    "9" * 5000,
    "NaN",
    "\ud800",
    "\x00",
    " 0 ",
    "\u0663",
    "1000000000000 x",
    "\U0001f600" * 50,
    "the " * 500,
]
NEEDED: dict[str, dict[str, Any]] = {
    "combination:repeat_prompt": {"prompt_to_repeat": "Write."},
    "repeat:repeat_change": {"prompt_to_repeat": "Write."},
    "repeat:repeat_span": {"prompt_to_repeat": "Write about the sea.", "n_start": 1, "n_end": 2},
    "ratio:overlap": {"reference_text": "Write about the sea.", "percentage": 20},
}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("a checker went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_every_official_instruction_gives_a_verdict(caplog: pytest.LogCaptureFixture) -> None:
    names = [*IFEVAL, *ifbench()]
    assert (len(IFEVAL), len(ifbench())) == (25, 58)
    for name in names:
        for text in TEXTS:
            found = verify([Instruction(name, NEEDED.get(name, {}))], "Write.", text)
            assert found.status is Status.SCORED, (name, text, found)
    assert not caplog.messages, "an answer stands in the log"
    with pytest.raises(ValueError, match="no instruction"):
        make("no:such", {})


@pytest.mark.parametrize(
    ("text", "count"),
    [("Dr. Smith went to the U.S. in 1990. He liked it!", 2), ("One. Two? Three!", 3), ("It costs $3.50.", 1)],
)
def test_sentences_are_counted_by_the_official_model(text: str, count: int) -> None:
    name = "length_constraints:number_sentences"
    assert follows([Instruction(name, {"num_sentences": count, "relation": "at least"})], "", text) == [True]
    assert follows([Instruction(name, {"num_sentences": count + 1, "relation": "at least"})], "", text) == [False]


def test_capital_words_stop_words_and_verbs() -> None:
    capital = Instruction(
        "change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"}
    )
    assert follows([capital], "", "WE GO now") == [True]
    assert follows([capital], "", "WE go now") == [False]
    few = Instruction("ratio:stop_words", {"percentage": 40})
    assert follows([few, few], "", "rivers carry stones") == [True, True]
    assert follows([few], "", "it is what it is and the") == [False]
    verb = Instruction("words:start_verb", {})
    assert follows([verb], "", "Consider the sea.") == [True]
    assert follows([verb], "", "The sea is wide.") == [False]
