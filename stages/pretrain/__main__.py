"""`python -m stages.pretrain`: MuonClip pre-training of the K2 network on the token shards.

`pretrain.ranks` above 1 starts that many processes, on this machine or by the command in `K2_LAUNCHER`; under torchrun
or DeepSpeed's launcher the ranks that exist are used.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from statistics import mean

import torch
import torch.distributed as dist

from k2model.chat.tokenizer import load_tokenizer
from k2model.formats.checkpoint import save_checkpoint
from k2model.formats.model_folder import save_model_folder
from k2model.model import K2Model
from k2model.training.engine import init_ranks
from stages.harness.checkout_lock import end_with_dvc, end_with_parent
from stages.harness.files import write_atomic
from stages.harness.hooks import Hooks
from stages.harness.section import load_common, load_section
from stages.harness.stage import Stage
from stages.measure.record import REPHRASED, corpus_sources, records
from stages.measure.text_loss import HeldText, TextLoss
from stages.pretrain.loop import PretrainJob, train
from stages.pretrain.params import PretrainParams
from stages.tracking.runs import Track

START = Path("models/base")
TOKENS = Path("data/tokens")
OUT = Path("models/pretrain")
CURVE = Path("plots/pretrain.csv")
LAST = 10


def _launch(ranks: int) -> None:
    """Runs this stage again as `ranks` processes; each has its share of the threads.

    `K2_LAUNCHER` is the command that starts them where one machine isn't enough, such as `srun torchrun --nnodes=4 …`;
    without it they start here.
    """
    here = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    command = shlex.split(os.environ.get("K2_LAUNCHER", "")) or here
    end_with_dvc()
    child = subprocess.run([*command, "-m", "stages.pretrain"], check=False, preexec_fn=end_with_parent)
    raise SystemExit(child.returncode if child.returncode >= 0 else 128 - child.returncode)


def _follow() -> None:
    """A rank other than 0: trains along with the work folder that rank 0 names."""
    end_with_dvc()
    init_ranks()
    box: list[PretrainJob | None] = [None]
    dist.broadcast_object_list(box, 0)
    assert box[0] is not None
    engine = train(box[0]).engine
    if engine.model.parallel:  # gives its experts
        text_loss(engine.model)
        save_checkpoint(engine.model, OUT, dtype=engine.weight_dtype)  # rank 0 writes


def text_loss(model: K2Model) -> TextLoss:
    """Loss on the held-out documents that all stages share; under expert parallelism all ranks must call it."""
    return HeldText(load_common().seed)(model, load_tokenizer(START))


def main() -> None:
    if int(os.environ.get("RANK", "0")) > 0:
        return _follow()
    if "RANK" not in os.environ and (ranks := load_section("pretrain", PretrainParams).ranks) > 1:
        return _launch(ranks)
    with Stage("pretrain", PretrainParams, Track, system_metrics=True) as stage:
        p = stage.params
        job = PretrainJob(
            params=p,
            start=START,
            special=frozenset(load_tokenizer(START).names),
            data_seed=stage.seed("data"),
            threads=max(1, stage.common.threads // p.ranks),
            tokens=TOKENS,
            work=stage.work,
        )
        if p.ranks > 1:
            init_ranks()
            dist.broadcast_object_list([job], 0)
        steps = p.steps + p.annealing.steps + p.long_context.steps
        with stage.progress(steps, "step") as progress:
            hooks = Hooks(
                log=lambda metrics, step: stage.log(metrics, step),
                flush=stage.track.flush,
                progress=progress.update,
                say=lambda line: print(f"pretrain: {line}", flush=True),
            )
            trainer = train(job, hooks)
        history = trainer.history
        assert history is not None
        with torch.device("meta"):
            parameters = sum(param.numel() for param in K2Model(trainer.base_config).parameters())
        with write_atomic(CURVE) as tmp:
            tmp.write_bytes(history.path.read_bytes())
        stage.track.artifact(CURVE)
        losses = history.column("loss")
        metrics = {
            "loss": mean(losses[-LAST:]),
            "first_loss": losses[0],
            "tokens": trainer.state.step * p.global_batch_tokens,
            "steps": trainer.state.step,
            "max_logit": max(history.column("max_logit")),
            "clipped_steps": sum(heads > 0 for heads in history.column("clipped_heads")),
            "load_cv": history.column("load_cv")[-1],
            "rollbacks": trainer.state.rollbacks,
            "parameters": parameters,
        }
        metrics |= text_loss(trainer.engine.model).metrics()
        made = records(stage, START, [*corpus_sources(), REPHRASED], metrics)
        dtype = trainer.engine.weight_dtype
        save_model_folder(trainer.engine.model, OUT, load_tokenizer(START), made, dtype=dtype)
        stage.finish(
            f"{metrics['parameters']:,} parameters, {metrics['tokens']:,} tokens, "
            f"loss {losses[0]:.3f} to {metrics['loss']:.3f}",
            metrics=metrics,
        )


if __name__ == "__main__":
    main()
