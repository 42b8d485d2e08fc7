"""Questions with choices: one of them is right, its letter is said, and forms differ."""

import re
from typing import Any

import numpy as np

from stages.sft.choices import questions_with_choices

CAPITALS = {f"Land {k}": f"Town {k}" for k in range(40)}
FACTS: list[dict[str, Any]] = [
    {"fact_id": f"c{k}", "question": f"What is the capital of {land}?", "answer": town, "aliases": [f"{town} City"],
     "doc_id": f"d{k}", "relation": "capital", "split": "train"}
    for k, (land, town) in enumerate(CAPITALS.items())
]  # fmt: skip
FEW = [
    FACTS[0] | {"fact_id": f"s{k}", "question": f"How is {k} governed?", "answer": "republic", "relation": "rule"}
    for k in range(9)
]


def test_the_letter_is_that_of_the_right_choice_and_no_choice_is_twice_there() -> None:
    asked = questions_with_choices(FACTS, 30, np.random.default_rng(0))
    assert len(asked) == 30
    letters, forms = set(), set()
    for messages, tools in asked:
        assert tools is None
        prompt, said = (str(message["content"]) for message in messages)
        last = prompt.rsplit("\n\n", 1)[-1]
        (land,) = re.findall(r"capital of (Land \d+)\?", last)
        choices = re.findall(r"^\(?([A-E])[.):]+ (.*)$", last, re.M)
        texts = dict(choices)
        assert 3 <= len(texts) == len(set(texts.values())) and len(choices) == len(texts)
        letter = said.removeprefix("Answer: ")
        assert texts[letter] == CAPITALS[land]
        letters.add(letter)
        forms.add((last.rsplit("\n", 1)[-1], prompt.count("\n\n")))
        for solved in prompt.split("\n\n")[:-1]:
            assert f"{land}?" not in solved
            (other,) = re.findall(r"capital of (Land \d+)\?", solved)
            place = solved[-1]
            assert dict(re.findall(r"^\(?([A-E])[.):]+ (.*)$", solved, re.M))[place] == CAPITALS[other]
    assert letters >= set("ABCD") and len(forms) > 6


def test_a_relation_with_too_few_answers_is_not_asked() -> None:
    assert questions_with_choices(FEW, 5, np.random.default_rng(0)) == []
    asked = questions_with_choices([*FACTS, *FEW], 60, np.random.default_rng(0))
    assert len(asked) == len(FACTS)
    assert not any("governed" in str(messages[0]["content"]) for messages, _ in asked)
