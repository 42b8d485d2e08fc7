"""`python -m stages.pretrain`: MuonClip pre-training of the K2 network on the token shards.

`pretrain.ranks` above 1 trains with that many processes, see stages/harness/ranks.py.
"""

from pathlib import Path
from statistics import mean

import torch

from k2model.chat.tokenizer import load_tokenizer
from k2model.formats.model_folder import save_model_folder
from k2model.model import K2Model
from stages.harness.files import write_atomic
from stages.harness.hooks import Hooks
from stages.harness.ranks import on_ranks
from stages.harness.section import load_common
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


def text_loss(model: K2Model) -> TextLoss:
    """Loss on the held-out documents that all stages share."""
    return HeldText(load_common().seed)(model, load_tokenizer(START))


def main() -> None:
    with Stage("pretrain", PretrainParams, Track, system_metrics=True) as stage:
        p = stage.params
        job = PretrainJob(
            params=p,
            start=START,
            special=frozenset(load_tokenizer(START).names),
            data_seed=stage.seed("data"),
            threads=stage.threads,
            tokens=TOKENS,
            work=stage.work,
        )
        steps = p.steps + p.annealing.steps + p.long_context.steps
        with stage.progress(steps, "step") as progress:
            hooks = Hooks(
                log=lambda metrics, step: stage.log(metrics, step),
                flush=stage.track.flush,
                progress=progress.update,
                say=lambda line: print(f"pretrain: {line}", flush=True),
            )
            trainer = train(job, hooks)
        engine = trainer.engine
        held = engine.led(text_loss)
        history = trainer.history
        if history is None:
            engine.attend()
            return
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
        metrics |= held.metrics()
        made = records(stage, START, [*corpus_sources(), REPHRASED], metrics)
        dtype = engine.weight_dtype
        save_model_folder(engine.model, OUT, load_tokenizer(START), made, dtype=dtype, tensors=engine.tensors())
        stage.finish(
            f"{metrics['parameters']:,} parameters, {metrics['tokens']:,} tokens, "
            f"loss {losses[0]:.3f} to {metrics['loss']:.3f}",
            metrics=metrics,
        )


if __name__ == "__main__":
    on_ranks("pretrain", PretrainParams, main)
