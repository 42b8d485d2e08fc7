"""Text weighs as much as its share of the rows; within a kind every target counts alike."""

import pytest
import torch

from stages.posttraining.mixture import Row
from stages.posttraining.packing import Example
from stages.sft.batches import TEXT, weighted

TALK = Row("trajectory", [Example([1, 2, 3, 4, 5], [False, False, False, True, True]), Example([6, 7], [False, True])])
SHORT = Row("demonstration", [Example([6, 7], [False, True])])
PROSE = Row(TEXT, [Example([1, 2, 3, 4, 5, 6, 7], [True] * 7)])


@pytest.mark.parametrize("micro_rows", [1, 2, 4])
def test_the_weights_are_the_shares_of_the_rows(micro_rows: int) -> None:
    micros = weighted([TALK, PROSE, SHORT, TALK], micro_rows, 8, 0)
    targets_BL = torch.cat([micro.packed.targets_BL for micro in micros])
    weight_B = torch.cat([micro.weight_B for micro in micros])
    sums_B = weight_B * (targets_BL != -100).sum(1)
    torch.testing.assert_close(sums_B[1], torch.tensor(0.25))
    torch.testing.assert_close(sums_B.sum(), torch.tensor(1.0))
    assert weight_B[0] == weight_B[2] == weight_B[3]


def test_one_kind_alone_is_the_mean_over_its_targets() -> None:
    (micro,) = weighted([TALK, SHORT], 2, 8, 0)
    torch.testing.assert_close(micro.weight_B, torch.full((2,), 1 / 4))
