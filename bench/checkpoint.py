"""What checkpoints cost the training loop: `python -m bench.checkpoint --preset laptop`.

Three arms take turns, each a few steps with one checkpoint after the first: none written, written beside the next
steps, written before the loop goes on. Printed: time of a step over the whole arm, how long the call that takes the
snapshot held the loop, and how long the file was in the making.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from k2model.config import K2Config
from k2model.model import K2Model
from k2model.training.engine import TrainEngine
from k2model.training.options import OptimizerOptions
from k2model.training.train_state import CheckpointWriter, list_checkpoints, verify

ARMS = ("none", "asynchronous", "synchronous")
LR, BIAS_RATE = 1e-4, 0.001


def loss_fn(model: nn.Module, tokens: Tensor) -> tuple[Tensor, Any]:
    output = model(tokens[:, :-1], tokens[:, 1:])
    return output.loss, output


class TimedRun:
    """One training run whose steps are timed."""

    def __init__(self, config: K2Config, tokens: int, length: int) -> None:
        self.train = TrainEngine(K2Model(config, seed=1), OptimizerOptions(), micro_batches=1)
        self.shape, self.vocab, self.number = (1, tokens // length, length + 1), config.vocab_size, 0

    def step(self) -> None:
        self.number += 1
        data = torch.Generator().manual_seed(self.number)
        batch = torch.randint(0, self.vocab, self.shape, generator=data).to(self.train.device)
        loss = self.train.accumulate(loss_fn, batch)
        self.train.apply(loss, lr=LR, bias_rate=BIAS_RATE)

    def arm(self, writer: CheckpointWriter | None, steps: int) -> tuple[float, float, float]:
        """Seconds of a step, of the snapshot's call, and until the checkpoint was whole (0 without)."""
        began = time.perf_counter()
        self.step()
        saved = held = 0.0
        if writer is not None:
            saved = time.perf_counter()
            writer.save(self.number, self.train.state.pieces(), {"step": self.number})
            held = time.perf_counter() - saved
        for _ in range(steps - 1):
            self.step()
        each = (time.perf_counter() - began) / steps
        if writer is None:
            return each, 0.0, 0.0
        writer.wait()
        newest = list_checkpoints(writer.folder)[-1]
        verify(newest)
        # The manifest is the last file, written right before the rename.
        whole = (newest / "manifest.json").stat().st_mtime - (time.time() - time.perf_counter() + saved)
        return each, held, whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--tokens", type=int, default=4096, help="of a step")
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--steps", type=int, default=4, help="of an arm in a round, one checkpoint in them")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where checkpoints go; a temporary folder by default")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    run = TimedRun(K2Config.preset(args.preset), args.tokens, args.length)
    run.step()
    timings: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ARMS}
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        for _ in range(args.rounds):
            for arm in ARMS:
                background = arm == "asynchronous"
                writer = None if arm == "none" else CheckpointWriter(Path(name) / arm, keep=1, background=background)
                timings[arm].append(run.arm(writer, args.steps))
        size = sum(f.stat().st_size for f in list_checkpoints(Path(name) / ARMS[1])[-1].iterdir())
    print(
        f"{args.preset}, {args.tokens} tokens a step, a checkpoint of {size / 2**20:.0f} MiB every {args.steps} steps"
    )
    for arm, rows in timings.items():
        each, held, whole = (statistics.median(column) for column in zip(*rows, strict=True))
        more = sorted(a[0] / b[0] - 1 for a, b in zip(rows, timings["none"], strict=True))
        spread = f"{statistics.median(more):+.1%} ({more[0]:+.1%} to {more[-1]:+.1%})"
        print(f"{arm:13s} {each:.3f} s a step, {spread}; loop held {1000 * held:.0f} ms; whole after {whole:.2f} s")


if __name__ == "__main__":
    main()
