"""Numbers that are not finite: no step is taken with them, nothing is written, nothing is resumed from."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from k2model.config import K2Config
from k2model.errors import NotFiniteError
from k2model.files import sha256_file
from k2model.formats.checkpoint import load_checkpoint, save_checkpoint
from k2model.formats.int4_checkpoint import save_int4_checkpoint
from k2model.model import K2Model, Output
from k2model.training import muon
from k2model.training.engine import TrainEngine
from k2model.training.options import OptimizerOptions
from k2model.training.train_state import CheckpointWriter, newest_intact

torch.set_num_threads(1)
KEY = "master|w|0|3"
NAME = "model.layers.1.self_attn.o_proj.weight"
TOKENS = torch.arange(2, 34)[None]


def _model() -> K2Model:
    return K2Model(K2Config.preset("smoke", vocab_size=64, num_hidden_layers=2), seed=1)


def _loss(model: nn.Module, tokens: Tensor) -> tuple[Tensor, Output]:
    output = model(tokens, tokens.roll(-1, 1))
    return output.loss, output


def _engine() -> TrainEngine:
    return TrainEngine(_model(), OptimizerOptions(), micro_batches=1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_one_gradient_that_is_not_finite_stops_before_the_step(bad: float) -> None:
    engine = _engine()
    before = {name: tensor.clone() for name, tensor in engine.model.state_dict().items()}
    param = engine.model.get_parameter(NAME)

    def spoil(grad: Tensor) -> Tensor:
        grad = grad.clone()
        grad[3, 5] = bad
        return grad

    hook = param.register_hook(spoil)
    loss = engine.accumulate(_loss, [TOKENS])
    assert loss == loss
    with pytest.raises(NotFiniteError, match=rf"gradient of {NAME} is not finite; no step was taken"):
        engine.apply(loss, lr=0.01, bias_rate=0.001)
    for name, tensor in engine.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert engine.steps == 0
    hook.remove()
    engine.discard()
    engine.apply(engine.accumulate(_loss, [TOKENS]), lr=0.01, bias_rate=0.001)
    assert engine.steps == 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_the_step(bad: float) -> None:
    engine = _engine()
    engine.accumulate(_loss, [TOKENS])
    with pytest.raises(NotFiniteError, match="the loss is"):
        engine.apply(bad, lr=0.01, bias_rate=0.0)
    assert engine.steps == 0


def test_a_step_into_infinity_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = _engine()
    monkeypatch.setattr(muon, "newton_schulz", lambda m: m * float("inf"))
    loss = engine.accumulate(_loss, [TOKENS])
    with pytest.raises(NotFiniteError, match=r"the weight of model\..* is not finite"):
        engine.apply(loss, lr=0.01, bias_rate=0.0)


def test_the_norm_of_the_guard_is_that_of_the_step() -> None:
    engine = _engine()
    for _ in range(2):
        loss = engine.accumulate(_loss, [TOKENS])
        norm = engine.grad_norm()
        assert engine.apply(loss, lr=0.01, bias_rate=0.0).grad_norm == norm > 0


@pytest.mark.parametrize("save", [save_checkpoint, save_int4_checkpoint])
def test_a_checkpoint_with_such_a_weight_is_never_written(tmp_path: Path, save: object) -> None:
    good, model = _model(), _model()
    assert callable(save)
    save(good, tmp_path / "m")
    with torch.no_grad():
        model.get_parameter(NAME)[0, 0] = float("nan")
    before = {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()}
    with pytest.raises(NotFiniteError, match=NAME):
        save(model, tmp_path / "m")
    assert {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    with pytest.raises(NotFiniteError, match=f"weight of {NAME}"):
        TrainEngine(model, OptimizerOptions(), micro_batches=1)


def test_a_low_type_that_can_not_hold_a_weight_is_no_checkpoint(tmp_path: Path) -> None:
    model = _model()
    with torch.no_grad():
        model.get_parameter(NAME)[0, 0] = 1e6
    with pytest.raises(NotFiniteError, match=NAME):
        save_checkpoint(model, tmp_path / "m", dtype=torch.float16)
    save_checkpoint(model, tmp_path / "m")
    load_checkpoint(tmp_path / "m")


def test_training_state_is_neither_written_nor_resumed_from(tmp_path: Path) -> None:
    writer = CheckpointWriter(tmp_path, keep=3, background=False)
    for step in (1, 2):
        writer.save(step, {KEY: torch.ones(3)}, {"step": step})
    with pytest.raises(NotFiniteError, match="tensor w"):
        writer.save(3, {KEY: torch.tensor([1.0, float("nan"), 0.0])}, {"step": 3})
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-00000001", "step-00000002"]
    file = tmp_path / "step-00000002" / "rank-00000.safetensors"  # as a version without this guard left it
    save_file({KEY: torch.tensor([1.0, float("inf"), 0.0])}, file)
    manifest = tmp_path / "step-00000002" / "manifest.json"
    value = json.loads(manifest.read_text())
    value["sha256"][file.name] = sha256_file(file)
    manifest.write_text(json.dumps(value))
    found, problems = newest_intact(tmp_path)
    assert found == tmp_path / "step-00000001"
    assert len(problems) == 1 and f"tensor {KEY} holds NaN or infinity" in problems[0]
    assert torch.equal(load_file(found / "rank-00000.safetensors")[KEY], torch.ones(3))
