"""Training on from a checkpoint, restartable: what sft, rl and qat share.

    tune = FineTune(Path("models/pretrain"), stage.work, options, micro_batches=2)
    state = tune.resume()                 # what the last `save` was given, or None
    loss = tune.engine.accumulate(...)
    tune.save(step, {"position": 12})

A checkpoint holds the weights, the optimizer and a JSON state; see k2model/training/train_state.py for how a
kill is survived.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from k2model.formats.checkpoint import load_checkpoint
from k2model.formats.quant import set_fake_quant
from k2model.model import K2Model
from k2model.training.engine import ComputeType, OptimizerOptions, TrainEngine
from k2model.training.train_state import CheckpointWriter, Snapshot, load_state, load_tensors, newest_intact


class FineTune:
    """A checkpoint's model in a DeepSpeed engine with MuonClip, and its resumable state in `work/checkpoints`.

    Attributes:
        engine: forward, backward, step.
        problems: one line for every corrupted training checkpoint that `resume` skipped.

    Args:
        fake_quant: forward passes use the INT4 values of the routed experts; what is saved are the weights behind them.

    Raises:
        CheckpointError: the start checkpoint is missing, incomplete or corrupted.
        ConfigError: `fake_quant` with a width that groups of 32 don't divide.
    """

    def __init__(
        self,
        start: Path,
        work: Path,
        options: OptimizerOptions,
        *,
        micro_batches: int,
        compute: ComputeType = "float32",
        fake_quant: bool = False,
        keep: int = 1,
    ) -> None:
        self.engine = TrainEngine(load_checkpoint(start), options, micro_batches=micro_batches, compute=compute)
        if fake_quant:
            set_fake_quant(self.engine.model, True)
        self._folder = work / "checkpoints"
        self._writer = CheckpointWriter(self._folder, keep=keep)
        self.problems: Sequence[str] = ()

    @property
    def model(self) -> K2Model:
        return self.engine.model

    def resume(self) -> dict[str, Any] | None:
        """Goes to the newest intact checkpoint and returns its state; None when there is none."""
        checkpoint, self.problems = newest_intact(self._folder)
        if checkpoint is None:
            return None
        saved = load_state(checkpoint)
        self.engine.load(
            load_tensors(checkpoint, "model", 1),
            load_tensors(checkpoint, "optimizer", 1),
            int(saved["optimizer_steps"]),
        )
        state: dict[str, Any] = saved["state"]
        return state

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Takes a checkpoint in the background; the one before is replaced once it is whole."""
        tensors = {"model": self.engine.model_tensors(), "optimizer": self.engine.optimizer.state_tensors()}
        self._writer.save(step, Snapshot(tensors, {"state": state, "optimizer_steps": self.engine.optimizer.steps}))

    def close(self) -> None:
        """Until the checkpoint in flight is on disk."""
        self._writer.wait()
