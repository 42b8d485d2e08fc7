"""Rows of a mixture always have something to learn."""

import math

import pytest
import torch

from gym.decontaminate import Index
from gym.tasksets.open_damage import answered
from gym.tasksets.sides import side_of
from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.model import K2Model
from stages.harness.errors import InputError
from stages.posttraining.conversations import Conversation, encode
from stages.posttraining.mixture import Mixture, Pool, compare_open, demonstrate
from stages.posttraining.packing import Example, pack

torch.set_num_threads(1)


def test_a_conversation_without_targets_never_makes_the_loss_nan() -> None:
    tokenizer = K2Tokenizer(train_tokenizer(["The cat sat on the mat. " * 20], 280))
    question = {"role": "user", "content": "The cat sat. " * 20}
    conversations: list[Conversation] = [
        ([question], None),
        ([question, {"role": "assistant", "content": "mat"}], None),
    ]
    examples, _, _ = encode(tokenizer, conversations, 512)
    length = max(example.inputs for example in examples)  # each has a row of its own
    mixture = Mixture([Pool("trajectory", examples, 1.0)], length, 0)
    model = K2Model(K2Config.preset("smoke", vocab_size=tokenizer.vocab_size), seed=1)
    for number in range(4):
        packed = pack([mixture.row(number).examples], length, tokenizer.pad)
        output = model(
            packed.tokens_BL, packed.targets_BL, positions_BL=packed.positions_BL, segment_ids_BL=packed.segments_BL
        )
        assert math.isfinite(float(output.loss)), number


@pytest.mark.timeout(20)
def test_a_mixture_of_nothing_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="nothing to learn from: .* 32 tokens"):
        Mixture([Pool("trajectory", [], 0.5), Pool("demonstration", [], 0.5)], 32, 0)


def test_a_pool_without_examples_gives_its_share_to_the_others() -> None:
    only = [Example([1, 2, 3], [True] * 3)]
    for pools in ([Pool("a", only, 0.75), Pool("b", [], 0.25)], [Pool("a", [], 0.75), Pool("b", only, 0.25)]):
        assert Mixture(pools, 8, 0).row(5).examples == only


def test_rows_follow_the_shares_from_the_beginning() -> None:
    shares = {"a": 0.6, "b": 0.3, "c": 0.1, "d": 0.0}
    pools = [Pool(kind, [Example([k, 1, 2], [True] * 3)], share) for k, (kind, share) in enumerate(shares.items())]
    kinds = [Mixture(pools, 8, 0).row(number).kind for number in range(40)]
    assert {kind: kinds.count(kind) for kind in shares} == {"a": 24, "b": 12, "c": 4, "d": 0}
    for end in range(1, 40):
        assert all(abs(kinds[:end].count(kind) - share * end) <= 1 for kind, share in shares.items())


def test_comparisons_about_open_prompts_teach_the_better_answer_from_either_place() -> None:
    train = answered("train")
    tokenizer = K2Tokenizer(train_tokenizer([prompt.text + prompt.answer for prompt in train], 1200))
    examples, dropped = compare_open(tokenizer, 28, 2048, 3)
    assert (len(examples), dropped) == (28, 0)
    assert compare_open(tokenizer, 28, 2048, 3) == (examples, 0)
    assert compare_open(tokenizer, 0, 2048, 3) == ([], 0)
    good = [prompt.answer for prompt in train]
    places = []
    for example in examples:
        text = tokenizer.decode(list(example.ids))
        asked, written = text.rsplit("</think>", 1)
        answer = next(one for one in good if written.startswith(one) and (f"A: {one}" in asked or f"B: {one}" in asked))
        places.append(f"A: {answer}" in asked)
    assert 5 < sum(places) < 23


def test_a_comparison_that_quotes_a_benchmark_is_left_out() -> None:
    tokenizer = K2Tokenizer(train_tokenizer([prompt.answer for prompt in answered("train")], 400))
    index = Index()
    index.add("planted", [prompt.text + " and so on and on and on" for prompt in answered("train")])
    examples, dropped = compare_open(tokenizer, 20, 100_000, 3, index)
    assert dropped > 5
    assert len(examples) + dropped == 20


def test_families_of_rl_are_demonstrated_by_right_answers_of_the_training_side() -> None:
    tokenizer = K2Tokenizer(train_tokenizer(["def f(n): return n + 1"], 280))
    examples, dropped = demonstrate(tokenizer, {"code": 30, "arithmetic_words": 20}, 0.1, 2000, 3)
    texts = [tokenizer.decode(list(example.ids)) for example in examples]
    assert dropped == 0 and len(texts) == 50, "no comparisons, since nobody knows wrong answers"
    for text in texts[:30]:
        name = text.split("Write a Python function ")[1].split()[0]
        assert side_of(name) == "train" and f"def {name}(" in text
