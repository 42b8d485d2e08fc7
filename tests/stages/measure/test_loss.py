"""Losses against each example alone, and against torch's own cross entropy."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.formats.checkpoint import widen_biases
from k2model.inference.decode import prepare
from k2model.model import K2Model
from k2model.training.token_shards import ShardWriter, TokenStream
from stages.measure.loss import documents, losses, mean_loss, stream_loss
from stages.posttraining.packing import Example

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> K2Model:
    return K2Model(K2Config.preset("smoke", vocab_size=256, num_hidden_layers=2), seed=1).eval()


def _alone(model: K2Model, example: Example) -> torch.Tensor:
    """Nats of each learned token."""
    ids = torch.tensor(example.ids)
    with torch.no_grad():
        logits_LV = model(ids[None, :-1]).logits_BLV[0]
    return F.cross_entropy(logits_LV, ids[1:], reduction="none")[torch.tensor(example.loss_mask[1:])]


EXAMPLES = [
    Example([1, 5, 9, 7], [True] * 4),
    Example([1, 8], [False, True]),
    Example([1, 3, 4, 5, 6, 7, 8], [False, False, False, True, True, False, True]),
]


def test_losses_are_those_of_each_example_alone(model: K2Model) -> None:
    together = losses(model, EXAMPLES, rows=2, pad=0)
    assert together == pytest.approx([float(_alone(model, example).mean()) for example in EXAMPLES], rel=1e-5)


def test_a_network_rearranged_for_decoding_is_measured_too() -> None:
    """Its head has no weight any more."""
    config = K2Config.preset("smoke", vocab_size=64, hidden_size=64, moe_intermediate_size=32)
    plain, arranged = (K2Model(config, seed=1).bfloat16() for _ in range(2))
    widen_biases(plain)
    widen_biases(prepare(arranged))
    examples = [Example(list(range(3, 13)), [True] * 10)]
    one, other = (losses(network, examples, rows=1, pad=0) for network in (plain, arranged))
    assert one == pytest.approx(other, abs=2e-2)


def test_the_mean_counts_every_target_alike(model: K2Model) -> None:
    every = torch.cat([_alone(model, example) for example in EXAMPLES])
    assert mean_loss(model, EXAMPLES, rows=2, pad=0) == pytest.approx(float(every.mean()), rel=1e-5)


def test_nothing_to_measure_on_is_no_number(model: K2Model) -> None:
    with pytest.raises(ValueError, match="no example"):
        mean_loss(model, [], rows=2, pad=0)
    with pytest.raises(ValueError, match="example 1 has no target"):
        losses(model, [EXAMPLES[0], Example([1, 2, 3], [True, False, False])], rows=2, pad=0)


def test_documents_are_a_seeded_shuffle_that_is_cut_and_has_no_empty_one() -> None:
    tokenizer = K2Tokenizer(train_tokenizer(["the cat sat on the mat " * 20], 280))
    texts = ["the cat sat on the mat", "", "mat"]
    found = list(documents(texts, tokenizer, 3, np.random.default_rng(0)))
    assert sorted(list(example.ids) for example in found) == sorted(
        [tokenizer.bos, *tokenizer.encode(text)[:3]] for text in texts if text
    )
    assert all(example.targets == example.inputs == len(example.ids) - 1 for example in found)
    again = documents(texts, tokenizer, 3, np.random.default_rng(0))
    assert list(islice(again, 1)) == found[:1]


def test_the_stream_is_measured_at_pieces_spread_over_an_epoch(model: K2Model, tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, vocab_size=256, bos=1, shard_tokens=4096)
    ids = [1, *np.random.default_rng(0).integers(2, 256, size=59).tolist()]
    writer.add("validation", ids)
    writer.close()
    found = stream_loss(model, TokenStream(tmp_path, "validation", None), 3, 8)
    pieces = [Example(ids[at : at + 9], [True] * 9) for at in (0, 20, 40)]
    assert found == pytest.approx(mean_loss(model, pieces, rows=1, pad=0), rel=1e-5)
