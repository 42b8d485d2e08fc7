"""One gloo rank of a tiny training run."""

from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file

from k2model.config import K2Config
from k2model.formats.checkpoint import load_checkpoint, named_tensors, save_checkpoint
from k2model.model import K2Model
from k2model.training.engine import OptimizerOptions, TrainEngine
from k2model.training.process_group import experts_over

MICRO = 4


def run(rank: int, ranks: int, spread: int, store: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=ranks)
    parallel = experts_over(spread)
    model = K2Model(K2Config.preset("smoke"), seed=1, parallel=parallel)
    # Nobody chooses the first sparse layer's upper half: a rank that holds it gets no rows and must still take part.
    model.gates()[0].e_score_correction_bias[:4] += 10
    # tau far below what random weights give, so that QK-Clip is part of what must agree.
    engine = TrainEngine(model, OptimizerOptions(tau=0.05, clip_norm=0.5), micro_batches=MICRO)

    def loss_fn(model, tokens):
        output = model(tokens[:, :-1], tokens[:, 1:])
        return output.loss, output

    clipped, losses = 0, []
    for step in range(3):
        data = torch.Generator().manual_seed(step)
        tokens = torch.randint(0, model.config.vocab_size, (MICRO, 2, 17), generator=data)
        losses.append(engine.accumulate(loss_fn, tokens))
        report = engine.apply(losses[-1], lr=0.01, bias_rate=0.001)
        clipped += report.clipped_heads
        losses.append(report.grad_norm)
    tensors = {name: t.clone().contiguous() for name, t in named_tensors(engine.model)}
    save_file(tensors, f"{out}-{rank}.safetensors")
    save_file(engine.optimizer.state_tensors(), f"{out}-{rank}.state")
    facts = {
        "bytes": torch.tensor(engine.optimizer.state_bytes()),
        "clipped": torch.tensor(clipped),
        "losses": torch.tensor(losses, dtype=torch.float64),
    }
    save_file(facts, f"{out}-{rank}.facts")
    if spread > 1 or ranks == 1:
        save_checkpoint(engine.model, Path(f"{out}-hf"))
        dist.barrier()
        again = load_checkpoint(Path(f"{out}-hf"), parallel=parallel)
        assert all(torch.equal(tensor, tensors[name]) for name, tensor in named_tensors(again))
    dist.barrier()
