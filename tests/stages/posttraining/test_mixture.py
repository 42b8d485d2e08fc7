"""Rows of a mixture always have something to learn."""

import math

import pytest
import torch

from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.model import K2Model
from stages.harness.errors import InputError
from stages.posttraining.conversations import Conversation, encode
from stages.posttraining.mixture import Mixture
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
    mixture = Mixture(examples, [], 1.0, length, 0)
    model = K2Model(K2Config.preset("smoke", vocab_size=tokenizer.vocab_size), seed=1)
    for number in range(4):
        packed = pack([mixture.row(number)], length, tokenizer.pad)
        output = model(
            packed.tokens_BL, packed.targets_BL, positions_BL=packed.positions_BL, segment_ids_BL=packed.segments_BL
        )
        assert math.isfinite(float(output.loss)), number


@pytest.mark.timeout(20)
def test_a_mixture_of_nothing_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="nothing to learn from: .* 32 tokens"):
        Mixture([], [], 0.5, 32, 0).row(0)


def test_a_pool_without_examples_gives_its_share_to_the_other() -> None:
    only = [Example([1, 2, 3], [True] * 3)]
    assert Mixture(only, [], 0.25, 8, 0).row(5) == Mixture([], only, 0.25, 8, 0).row(5) == only
