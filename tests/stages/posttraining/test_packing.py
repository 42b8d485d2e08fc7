import numpy as np
import pytest
import torch

from k2model.config import K2Config
from k2model.model import K2Model
from stages.posttraining.packing import Example, pack, plan


def _examples() -> list[Example]:
    rng = np.random.default_rng(0)
    lengths = [5, 17, 9, 30, 12, 3]
    return [Example(rng.integers(5, 200, n).tolist(), [k % 3 != 0 for k in range(n)]) for n in lengths]


def test_every_example_stands_in_exactly_one_row() -> None:
    examples = _examples()
    rows = plan([e.inputs for e in examples], 32, np.random.default_rng(1))
    assert sorted(k for row in rows for k in row) == list(range(len(examples)))
    assert all(sum(examples[k].inputs for k in row) <= 32 for row in rows)


def test_an_example_longer_than_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="example 0 has 33 inputs"):
        plan([33], 32, np.random.default_rng(0))


def test_packed_losses_equal_those_of_each_conversation_alone() -> None:
    config = K2Config.preset("smoke", vocab_size=256)
    model = K2Model(config, seed=1)
    examples = _examples()
    rows = plan([e.inputs for e in examples], 40, np.random.default_rng(1))
    assert any(len(row) > 1 for row in rows)
    packed = pack([[examples[k] for k in row] for row in rows], 40, pad_id=0)
    together = model(
        packed.tokens_BL, packed.targets_BL, positions_BL=packed.positions_BL, segment_ids_BL=packed.segments_BL
    ).logp_BL.sum()
    alone = torch.zeros(())
    for example in examples:
        ids = torch.tensor([example.ids])
        targets = ids[:, 1:].masked_fill(~torch.tensor([example.loss_mask[1:]]), -100)
        alone = alone + model(ids[:, :-1], targets).logp_BL.sum()
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-4)
    assert packed.target_count == sum(sum(e.loss_mask[1:]) for e in examples)
