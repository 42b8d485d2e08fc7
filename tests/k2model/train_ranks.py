"""One gloo rank of a tiny training run: `python train_ranks.py RANK RANKS STORE OUT`."""

import sys

import torch
import torch.distributed as dist
from safetensors.torch import save_file

from k2model.config import K2Config
from k2model.engine import OptimizerOptions, TrainEngine
from k2model.model import K2Model

MICRO = 4


def main() -> None:
    rank, ranks, store, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=ranks)
    model = K2Model(K2Config.preset("smoke"), seed=1)
    # tau far below what random weights give, so that QK-Clip is part of what must agree.
    engine = TrainEngine(model, OptimizerOptions(tau=0.05), micro_batches=MICRO // ranks)

    def loss_fn(model, tokens):
        output = model(tokens[:, :-1], tokens[:, 1:])
        return output.loss, output

    clipped = 0
    for step in range(3):
        data = torch.Generator().manual_seed(step)
        tokens = torch.randint(0, model.config.vocab_size, (MICRO, 2, 17), generator=data)
        loss = engine.accumulate(loss_fn, tokens[rank::ranks])
        clipped += engine.apply(loss, lr=0.01, bias_rate=0.001).clipped_heads
    tensors = {name: t.clone().contiguous() for name, t in engine.model_tensors().items()}
    bytes_ = torch.tensor(engine.optimizer.state_bytes())
    save_file({**tensors, "state_bytes": bytes_, "clipped": torch.tensor(clipped)}, f"{out}-{rank}.safetensors")
    dist.barrier()


if __name__ == "__main__":
    main()
