"""`python -m stages.sft`: supervised tuning on kept trajectories and demonstrations, in K2's chat format.

With `--model FOLDER --out FOLDER` it tunes any model folder, apart from the pipeline.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gym.decontaminate import Index
from gym.tasksets.elementary import FAMILIES, Elementary
from k2model.chat.tokenizer import K2Tokenizer
from k2model.formats.int4_checkpoint import load_any
from k2model.formats.model_folder import folder_tokenizer, save_model_folder
from k2model.model import K2Model
from k2model.training.engine import TrainEngine
from stages.harness.files import write_csv
from stages.harness.own_model import own_model
from stages.harness.ranks import on_ranks
from stages.harness.section import load_section
from stages.harness.stage import Stage
from stages.harness.tables import FACTS, read_table
from stages.measure.closed_book import Fact, choose
from stages.measure.loss import mean_loss
from stages.measure.record import made_here, records
from stages.measure.tasks import call_accuracy, elementary_scores
from stages.measure.text_loss import HeldText, compare
from stages.posttraining.benchmark_index import read_index
from stages.posttraining.conversations import (
    SOURCES,
    Conversation,
    Fitted,
    clean,
    declares,
    encode,
    of_examples,
    split,
    trajectories,
)
from stages.posttraining.mixture import Mixture, Pool, compare_open, demonstrate
from stages.posttraining.packing import Example
from stages.posttraining.params import TasksParams
from stages.posttraining.text import text_examples
from stages.sft.batches import TEXT, learning_rate, train_step
from stages.sft.choices import questions_with_choices
from stages.sft.params import SftParams
from stages.tracking.runs import Track

CORPUS = Path("data/corpus.parquet")
FACTS_PATH = Path("data/facts.parquet")
TRAJECTORIES = Path("data/trajectories.parquet")
TOKENS = Path("data/tokens")
OUT = Path("models/sft")
CURVE = Path("plots/sft.csv")
HELD_EXAMPLES, HELD_ROWS = 12, 4
INSTRUCTIONS = "instructions"  # of the demonstrations, those with a share of their own


def facts_of_training() -> list[Fact]:
    """The facts of documents that are trained on."""
    return [fact for fact in read_table(FACTS_PATH, FACTS).to_pylist() if fact["split"] == "train"]


def answer(fact: Fact) -> Conversation:
    """A question and its answer."""
    return [{"role": "user", "content": fact["question"]}, {"role": "assistant", "content": fact["answer"]}], None


def main() -> None:
    own = own_model("sft", sys.argv[1:])
    with Stage("sft", SftParams, Track, system_metrics=True, own=own) as stage:
        p = stage.params
        torch.set_num_threads(stage.threads)
        shared = load_section("tasks", TasksParams)
        tokenizer = folder_tokenizer(stage.start)
        index = read_index(TOKENS)
        conversations = {kind: _conversations(stage, index, tokenizer, *sources) for kind, sources in SOURCES.items()}
        held = [conversation for each in conversations.values() for conversation in each.held]
        others = {family: count for family, count in p.demonstrations.items() if family != INSTRUCTIONS}
        demonstrations, dropped_demonstrations = demonstrate(
            tokenizer, others, shared.difficulty, p.sequence_length, stage.seed("tasks"), index
        )
        instructions, dropped_instructions = demonstrate(
            tokenizer,
            {INSTRUCTIONS: p.demonstrations.get(INSTRUCTIONS, 0)},
            shared.difficulty,
            p.sequence_length,
            stage.seed("tasks"),
            index,
        )
        facts = facts_of_training() if p.facts or p.choices else []
        questions = [answer(fact) for fact in choose(facts, p.facts, stage.rng("facts"))]
        questions += questions_with_choices(facts, p.choices, stage.rng("choices"))
        answered, dropped_questions = clean(questions, index)
        demonstrations += encode(tokenizer, answered, p.sequence_length)[0]
        comparisons, dropped_comparisons = compare_open(
            tokenizer, p.comparisons, p.sequence_length, stage.seed("comparisons"), index
        )
        demonstrations += comparisons
        text_tokens = round(p.shares.text * p.steps * p.rows_per_step * p.sequence_length)
        text = text_examples(CORPUS, tokenizer, text_tokens, p.sequence_length, index, stage.rng("text"))
        pools = [
            Pool("trajectory", conversations["trajectories"].examples, p.shares.trajectories),
            Pool("coding", conversations["coding"].examples, p.shares.coding),
            Pool("request", conversations["requests"].examples, p.shares.requests),
            Pool("single", conversations["singles"].examples, p.shares.singles),
            Pool("instruction", instructions, p.shares.instructions),
            Pool("demonstration", demonstrations, p.shares.demonstrations),
            Pool(TEXT, text, p.shares.text),
        ]
        mixture = Mixture(pools, p.sequence_length, stage.seed32("order"))
        held_text = HeldText(stage.common.seed)
        text_before = held_text(load_any(stage.start), tokenizer) if stage.leads else None
        engine = TrainEngine(
            stage.start,
            p.optimizer.options(tokenizer.names),
            micro_batches=p.rows_per_step // p.micro_rows,
            layout=p.layout,
            fake_quant=p.fake_quant,
            checkpoints=stage.work / "checkpoints",
        )
        state = engine.resume() or {"step": 0, "losses": [], "measured": {}}
        if state["step"]:
            print(f"sft: resumed at step {state['step']} of {p.steps}", flush=True)
        losses: list[float] = state["losses"]
        measured: dict[str, dict[str, float]] = state["measured"]  # by step

        def measure(model: K2Model) -> dict[str, float]:
            return _reached(stage, model, tokenizer, held, shared.difficulty)

        with stage.progress(p.steps, "step") as progress:
            progress.update(state["step"], "")
            for step in range(state["step"], p.steps):
                losses.append(train_step(engine, mixture, p, step, tokenizer.pad))
                stage.log({"sft/loss": losses[-1], "sft/lr": learning_rate(p, step)}, step + 1)
                progress.update(1, f"loss {losses[-1]:.3f}")
                if step + 1 < p.steps and p.eval_every and (step + 1) % p.eval_every == 0:
                    found = engine.led(lambda model: measure(model) | held_text(model, tokenizer).metrics())
                    measured[str(step + 1)] = found
                    stage.log({f"sft/{key}": value for key, value in found.items()}, step + 1)
                if (step + 1) % p.checkpoint_every == 0 or step + 1 == p.steps:
                    stage.track.flush()
                    engine.save(step + 1, {"step": step + 1, "losses": losses, "measured": measured})
        engine.settle()

        reached = engine.led(measure)
        text_after = engine.led(lambda model: held_text(model, tokenizer))
        if text_before is None:
            engine.attend()
            return
        measured |= {
            "0": text_before.metrics(),
            str(p.steps): reached | text_after.metrics(),
        }
        curve = stage.place(CURVE)
        metrics = {
            "loss": float(np.mean(losses[-10:])),
            **_counts(conversations),
            "demonstrations": len(demonstrations),
            "instructions": len(instructions),
            "comparisons": len(comparisons),
            "overlapping": sum(each.dropped for each in conversations.values())
            + dropped_demonstrations
            + dropped_instructions
            + dropped_questions
            + dropped_comparisons,
            "overlapping_tools": sum(each.declaring for each in conversations.values()),
        }
        metrics |= reached
        metrics |= compare(text_before, text_after, stage.seed("text"))
        learned = {kind: each.learned for kind, each in conversations.items()}
        data = [
            made_here("trajectories of simulated tool use", f"{learned['trajectories']:,} kept"),
            made_here("sessions of repairs in repositories", f"{learned['coding']:,} kept"),
            made_here("conversations on declared tools", f"{learned['requests']:,} kept"),
            made_here("single turns on declared tools", f"{learned['singles']:,} kept"),
            made_here("instructions with constraints that are checked", f"{len(instructions):,}"),
            made_here("demonstrations of tasks, answered questions, comparisons", f"{len(demonstrations):,}"),
        ]
        made = records(stage, stage.start, data, metrics)
        out, dtype = stage.place(OUT), engine.weight_dtype
        save_model_folder(engine.model, out, tokenizer, made, dtype=dtype, tensors=engine.tensors())
        write_csv(curve, _curve(p, losses, measured))
        stage.track.artifact(curve)
        stage.finish(
            f"{p.steps} steps on {learned['trajectories']:,} trajectories, {learned['coding']:,} coding sessions, "
            f"{learned['requests']:,} requests, {learned['singles']:,} single turns and "
            f"{len(instructions) + len(demonstrations):,} demonstrations, "
            f"loss {losses[0]:.3f} to {metrics['loss']:.3f}, {metrics.get('call_accuracy', 0):.1%} of "
            f"{metrics['call_accuracy_n']} held calls exact, held-out text {metrics['text_loss']:.3f} nats a token "
            f"({metrics['text_loss_change']:+.3f})",
            metrics,
        )


def _curve(
    p: SftParams, losses: Sequence[float], measured: Mapping[str, Mapping[str, float]]
) -> list[dict[str, int | str]]:
    """A row for each step, and one for the start; empty where nothing was measured."""
    keys = sorted({key for found in measured.values() for key in found})
    rows: list[dict[str, int | str]] = []
    for step in range(len(losses) + 1):
        found = measured.get(str(step), {})
        trained = step > 0
        row: dict[str, int | str] = {"step": step}
        row["loss"] = f"{losses[step - 1]:.6g}" if trained else ""
        row["lr"] = f"{learning_rate(p, step - 1):.6g}" if trained else ""
        rows.append(row | {key: f"{found[key]:.6g}" if key in found else "" for key in keys})
    return rows


@dataclass(frozen=True)
class Conversations:
    """Of one kind: examples to learn, how many conversations they are of, those held out, and what was left out.

    dropped: that overlap with a benchmark, `declaring` of them by a tool's name.
    """

    examples: list[Example]
    learned: int
    held: list[Conversation]
    fitted: Fitted
    dropped: int
    declaring: int


def _conversations(stage: Stage[SftParams], index: Index, tokenizer: K2Tokenizer, *sources: str) -> Conversations:
    p = stage.params
    found = trajectories(TRAJECTORIES, *sources)
    kept, dropped = clean(found, index)
    learned, held = split(kept, p.held_fraction, stage.rng("split"))
    examples, _, fitted = encode(tokenizer, learned, p.sequence_length, cut_long=p.cut_long)
    declaring = sum(declares(conversation, index) for conversation in found)
    return Conversations(examples, len(learned), held, fitted, dropped, declaring)


def _counts(conversations: Mapping[str, Conversations]) -> dict[str, float]:
    counts: dict[str, float] = {}
    for kind, each in conversations.items():
        counts |= {
            kind: each.learned + len(each.held),
            f"held_{kind}": len(each.held),
            f"{kind}_cut": each.fitted.cut,
            f"{kind}_too_long": each.fitted.too_long,
            f"{kind}_without_targets": each.fitted.no_targets,
        }
    return counts


def _reached(
    stage: Stage[SftParams], model: K2Model, tokenizer: K2Tokenizer, held: Sequence[Conversation], difficulty: float
) -> dict[str, float]:
    """Loss on held conversations, exact calls in them, and how many held tasks are solved."""
    p, metrics = stage.params, dict[str, float]()
    held_examples, places, _ = encode(tokenizer, held, p.sequence_length, cut_long=p.cut_long)
    drawn = stage.rng("held").permutation(len(held_examples))[:HELD_EXAMPLES]
    if len(drawn):
        some = [held_examples[k] for k in drawn]
        metrics["held_loss"] = mean_loss(model, some, rows=HELD_ROWS, pad=tokenizer.pad)
    fitting = of_examples(held, places)
    metrics |= call_accuracy(model, tokenizer, fitting, p.eval_calls, p.sequence_length, stage.rng("calls"))
    if p.eval_tasks:
        seed = stage.seed32("held")
        tasks = {
            family: Elementary(family, "held").tasks(p.eval_tasks, seed, difficulty)
            for family, count in p.demonstrations.items()
            if count and family in FAMILIES
        }
        scores = elementary_scores(model, tokenizer, tasks)
        metrics |= {f"success_{family}": sum(solved) / p.eval_tasks for family, solved in scores.items()}
    return metrics


if __name__ == "__main__":
    on_ranks("sft", SftParams, main)
