"""What experiments on conversations share: models/base tuned as the stage `sft` does, on so many target tokens."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from k2model.chat.tokenizer import K2Tokenizer
from k2model.formats.checkpoint import save_checkpoint
from k2model.training.engine import TrainEngine
from stages.harness.seeds import seed32
from stages.posttraining.mixture import Mixture, Pool
from stages.sft.batches import TEXT, train_step
from stages.sft.params import SftParams

START = Path("models/base")


def tune(
    pools: Sequence[Pool], budget: int, p: SftParams, seed: int, tokenizer: K2Tokenizer, out: Path
) -> dict[str, Any]:
    """Learns `budget` tokens of the agent, or plain text alone in as many steps as `sft` has; what that took.

    Args:
        pools: one of them of the kind `TEXT`, whose tokens are not counted.
        p: rate, rows and schedule.
    """
    began = time.perf_counter()
    mixture = Mixture(pools, p.sequence_length, seed32(seed, "order"))
    spoken = any(pool.examples for pool in pools if pool.kind != TEXT)
    steps, targets, read = 0, 0, 0
    while targets < budget if spoken else steps < p.steps:
        rows = [mixture.row(steps * p.rows_per_step + k) for k in range(p.rows_per_step)]
        learned = [example for row in rows if row.kind != TEXT for example in row.examples]
        targets += sum(example.targets for example in learned)
        read += sum(example.inputs for example in learned)
        steps += 1
    p = p.model_copy(update={"steps": steps})
    micro_batches = p.rows_per_step // p.micro_rows
    engine = TrainEngine(START, p.optimizer.options(tokenizer.names), micro_batches=micro_batches, layout=p.layout)
    for step in range(steps):
        train_step(engine, mixture, p, step, tokenizer.pad)
    save_checkpoint(engine.model, out, tensors=engine.tensors())
    return {"targets": targets, "inputs": read, "steps": steps, "seconds": round(time.perf_counter() - began)}
