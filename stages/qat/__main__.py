"""`python -m stages.qat`: INT4 quantization-aware training of the routed experts, beside the same steps without it.

Four networks are compared on the same held-out documents, facts and tasks of RL: `start` (the checkpoint that came
in), `bf16` (trained on without quantization), `ptq` (that one, rounded to nearest) and `qat` (trained on with fake
quantization; what is exported).

With `--model FOLDER --out FOLDER` it goes on from any model folder, apart from the pipeline.
"""

import gc
import sys
from pathlib import Path

import torch

from gym.tasksets.elementary import Elementary
from k2model.chat.tokenizer import K2Tokenizer
from k2model.formats.checkpoint import load_checkpoint, load_config
from k2model.formats.int4_checkpoint import save_int4_checkpoint
from k2model.formats.model_folder import folder_tokenizer, save_model_folder
from k2model.formats.quant import round_to_nearest, sizes, to_bfloat16
from k2model.moe import check_widths
from kernels.processor import fast_dtype
from stages.harness.errors import InputError
from stages.harness.own_model import own_model
from stages.harness.ranks import on_ranks
from stages.harness.section import load_section
from stages.harness.stage import Stage
from stages.measure.record import corpus_sources, made_here, records
from stages.measure.text_loss import compare
from stages.posttraining.benchmark_index import read_index
from stages.posttraining.conversations import demonstration, encode
from stages.posttraining.packing import Example
from stages.posttraining.params import TasksParams
from stages.qat.measure import Measure, Measured, difference, summary
from stages.qat.params import QatParams
from stages.qat.text import text_stream
from stages.qat.training import MicroBatches, QatArm, train
from stages.tracking.runs import Track

CORPUS = Path("data/corpus.parquet")
TOKENS = Path("data/tokens")
OUT = Path("models/qat")


def demonstrations(stage: Stage[QatParams], shared: TasksParams, tokenizer: K2Tokenizer) -> list[Example]:
    """RL's tasks and what a perfect assistant answers, so that the tuning doesn't drift away from them.

    Raises:
        InputError: none fits a sequence.
    """
    p = stage.params
    conversations = []
    for family in shared.elementary:
        taskset = Elementary(family)
        tasks = taskset.tasks(p.demonstrations, stage.seed32("demonstrations", family), shared.difficulty)
        conversations += [demonstration(taskset, task) for task in tasks]
    examples, _, _ = encode(tokenizer, conversations, p.sequence_length)
    if not examples:
        raise InputError(f"qat.sequence_length {p.sequence_length}: no demonstration of tasks.families is that short")
    return examples


def main() -> None:
    own = own_model("qat", sys.argv[1:])
    with Stage("qat", QatParams, Track, system_metrics=True, own=own) as stage:
        p = stage.params
        torch.set_num_threads(stage.threads)
        start = stage.start
        tokenizer = folder_tokenizer(start)
        shared = load_section("tasks", TasksParams)
        measure = Measure(stage, shared, tokenizer)
        examples = demonstrations(stage, shared, tokenizer)
        index = read_index(TOKENS)
        needed, seed = p.steps * p.global_batch_tokens, stage.seed("data")
        stream = text_stream(CORPUS, stage.work / "text", tokenizer, needed, index, stage.rng("text"), seed)
        data = MicroBatches(p, stream, examples, stage.seed32("rows"), tokenizer.pad)
        check_widths(load_config(start))
        measured: dict[str, Measured] = {}
        with stage.progress(2 * p.steps, "step") as progress:

            def arm(name: str, *, quantized: bool) -> Path:
                """Where its weights are."""

                def done(step: int, loss: float) -> None:
                    stage.log({f"{name}/loss": loss}, step)
                    progress.update(1, f"{name} loss {loss:.3f}")

                chosen = QatArm(name, start, stage.work / name, quantized, frozenset(tokenizer.names))
                train(chosen, p, data, done, lambda line: print(f"qat: {line}", flush=True))
                gc.collect()
                return chosen.trained

            # One arm after the other is in memory; DeepSpeed's engine refers to itself, so only the collector frees it.
            plain = arm("bf16", quantized=False)
            trained = arm("qat", quantized=True)
        if not stage.leads:
            return
        measured["start"] = measure(to_bfloat16(load_checkpoint(start), fast_dtype()))
        network = load_checkpoint(plain)
        measured["bf16"] = measure(to_bfloat16(network, fast_dtype()))
        round_to_nearest(network)
        measured["ptq"] = measure(network)
        del network
        tuned = load_checkpoint(trained)
        packed = stage.work / "int4"
        save_int4_checkpoint(tuned, packed)
        measured["qat"] = measure(load_checkpoint(packed, dtype=fast_dtype()))
        metrics: dict[str, float] = {}
        for name in ("start", "bf16", "ptq", "qat"):
            metrics |= summary(name, measured[name], stage.seed("bootstrap"))
        for name in ("ptq", "qat"):
            losses, plain_losses = measured[name].losses, measured["bf16"].losses
            metrics |= difference(f"{name}_minus_bf16", losses, plain_losses, stage.seed("paired"))
        size = sizes(tuned.config)
        metrics |= {
            "documents": len(measure.documents),
            "facts_n": len(measure.asked),
            "tasks_n": measured["qat"].tasks,
            "steps": p.steps,
            "bytes": size.total_int4,
            "bytes_ratio": size.total_int4 / size.total_bf16,
        }
        metrics |= compare(measured["start"].text, measured["qat"].text, stage.seed("text"))
        metrics = {key: round(value, 6) for key, value in metrics.items()}
        sources = [*corpus_sources(CORPUS), made_here("demonstrations of elementary tasks", f"{len(examples):,}")]
        made = records(stage, start, sources, metrics)
        save_model_folder(tuned, stage.place(OUT), tokenizer, made, int4=True)
        low, high = metrics["qat_minus_bf16_ci_low"], metrics["qat_minus_bf16_ci_high"]
        tasks = ", ".join(f"{metrics[f'tasks_{name}']:.0%}" for name in ("bf16", "ptq", "qat"))
        stage.finish(
            f"loss bf16 {metrics['loss_bf16']:.4f}, PTQ {metrics['ptq_minus_bf16']:+.4f}, QAT "
            f"{metrics['qat_minus_bf16']:+.4f} [{low:+.4f}, {high:+.4f}], tasks {tasks}, "
            f"{size.total_int4 / 1e6:.1f} MB, {metrics['bytes_ratio']:.2f}x of bf16",
            metrics=metrics,
        )


if __name__ == "__main__":
    on_ranks("qat", QatParams, main)
