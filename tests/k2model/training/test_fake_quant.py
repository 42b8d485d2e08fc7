"""Training on through the INT4 rule, as sft, rl and qat do it."""

from pathlib import Path

import pytest
import torch

from k2model.config import K2Config
from k2model.errors import ConfigError
from k2model.formats.checkpoint import save_checkpoint
from k2model.formats.quant import round_to_nearest
from k2model.model import K2Model
from k2model.training.engine import TrainEngine
from k2model.training.options import OptimizerOptions

torch.set_num_threads(1)
OPTIONS = OptimizerOptions(weight_decay=0.0)


def _start(folder: Path, **changes: int) -> Path:
    save_checkpoint(K2Model(K2Config.preset("smoke", vocab_size=256, **changes), seed=1), folder / "start")
    return folder / "start"


@torch.no_grad()
def _logits(model: K2Model) -> torch.Tensor:
    logits_BLV = model(torch.arange(40).view(1, 40)).logits_BLV
    assert logits_BLV is not None
    return logits_BLV


def test_the_forward_pass_is_the_quantized_network_and_the_weights_are_not(tmp_path: Path) -> None:
    start = _start(tmp_path)
    plain = TrainEngine(start, OPTIONS, micro_batches=1).model
    trained = TrainEngine(start, OPTIONS, micro_batches=1, fake_quant=True).model
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), trained.parameters(), strict=True))
    exact = _logits(plain)
    round_to_nearest(plain)
    assert not torch.equal(_logits(trained), exact)
    assert torch.equal(_logits(trained), _logits(plain))


def test_a_width_that_groups_do_not_divide(tmp_path: Path) -> None:
    start = _start(tmp_path, moe_intermediate_size=48)
    with pytest.raises(ConfigError, match="moe_intermediate_size: 48 is not divisible by 32"):
        TrainEngine(start, OPTIONS, micro_batches=1, fake_quant=True)
