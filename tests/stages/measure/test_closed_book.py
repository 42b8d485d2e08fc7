"""What counts as right, who is asked, and what a model that knows an answer gets."""

from typing import Any

import numpy as np
import pytest
import torch

from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.model import K2Model
from stages.measure.closed_book import ask, choose, is_correct, prompt

torch.set_num_threads(1)


def _fact(number: int, relation: str = "capital") -> dict[str, Any]:
    return {
        "fact_id": f"f{number:02d}",
        "doc_id": f"d{number}",
        "relation": relation,
        "question": f"Capital {number}?",
        "answer": f"The Town {number}",
        "aliases": [f"T.{number}"],
    }


@pytest.mark.parametrize(
    ("output", "right"),
    [("The Town 3", True), (" town 3.\nmore", True), ("T3", True), ("Town 4", False), ("", False), ("\nTown 3", True)],
)
def test_an_answer_is_its_first_line_without_case_articles_and_punctuation(output: str, right: bool) -> None:
    assert is_correct(output, _fact(3)) is right


def test_chosen_facts_are_spread_over_relations() -> None:
    facts = [_fact(k, "capital" if k < 20 else "river") for k in range(24)]
    chosen = choose(facts, 6, np.random.default_rng(0))
    assert [fact["relation"] for fact in chosen].count("river") == 3
    assert len(choose(facts, 99, np.random.default_rng(0))) == 24


def test_shots_are_about_other_documents_and_the_same_relation() -> None:
    pool = [_fact(1), _fact(2, "river"), _fact(3)]
    assert prompt(_fact(1), pool, 2) == "Question: Capital 3?\nAnswer: The Town 3\n\nQuestion: Capital 1?\nAnswer:"


def test_each_fact_gets_the_greedy_line_after_its_prompt() -> None:
    tokenizer = K2Tokenizer(train_tokenizer(["Question: Capital 1? Answer: The Town " * 20], 285))
    model = K2Model(K2Config.preset("smoke", vocab_size=tokenizer.vocab_size), seed=2).eval()
    facts = [_fact(k) for k in range(3)]
    answers = ask(model, tokenizer, facts, facts, shots=1, answer_tokens=4, batch_size=2)
    for fact, answer in zip(facts, answers, strict=True):
        assert answer.prompt == prompt(fact, facts, 1)
        ids = [tokenizer.bos, *tokenizer.encode(answer.prompt)]
        with torch.no_grad():
            best = int(model(torch.tensor([ids])).logits_BLV[0, -1].argmax())
        ended = best in {*tokenizer.encode("\n"), *tokenizer.special.values()}
        assert answer.tokens <= 4
        assert ended or answer.output.startswith(tokenizer.decode([best]).rstrip("\ufffd"))
        assert answer.correct is is_correct(answer.output, fact)
    assert ask(model, tokenizer, [], facts, shots=1, answer_tokens=4, batch_size=2) == []


@pytest.mark.parametrize("end", ["<|im_end|>", "<|tool_calls_section_end|>", "\n"])
def test_an_answer_ends_at_a_marker_of_chats_as_at_a_line(end: str) -> None:
    tokenizer = K2Tokenizer(train_tokenizer(["Question: Capital 1? Answer: The Town " * 20], 285))
    model = K2Model(K2Config.preset("smoke", vocab_size=tokenizer.vocab_size), seed=2).eval()
    stop = tokenizer.special[end] if end in tokenizer.special else tokenizer.encode(end)[0]
    letter = tokenizer.encode("x")[0]
    with torch.no_grad():  # whatever comes first, it writes x, and after x the end
        model.model.embed_tokens.weight.zero_()
        model.model.embed_tokens.weight[:, 0] = 1.0
        model.model.embed_tokens.weight[letter] *= -1.0
        for layer in model.model.layers:
            for weight in layer.parameters():
                weight.zero_()
        model.lm_head.weight.zero_()
        model.lm_head.weight[letter, 0] = 1.0
        model.lm_head.weight[stop, 0] = -1.0
    (answer,) = ask(model, tokenizer, [_fact(0)], [_fact(0)], shots=1, answer_tokens=8, batch_size=1)
    assert (answer.output.strip(), answer.tokens, answer.finish_reason) == ("x", 2, "stop")
