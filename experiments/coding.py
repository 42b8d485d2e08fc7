"""What coding sessions teach: the base tuned with and without them, at equal budgets, on repositories never seen.

    python -m experiments.coding --arms without,with --seeds 0,1,2

Both arms tune models/base as the stage `sft` does (its rate, rows, schedule, share of plain text) until as many tokens
of the agent were learned: `without` on conversations of every other kind, `with` on these and, in half of the rows, on
coding sessions, which are cut after a whole turn where they are longer than a row. Measured on held tasks of
data/repairs.parquet: `repairs_python` with an agent (greedy; limits below) and functions to complete, by hidden tests.
Held-out text stands beside. Lines of docs/experiments/coding.jsonl are not measured again.

Rules and verdicts: `experiments/claims.yaml`, `python -m experiments`. Tasks solved and functions completed have no
rule: near 0 is expected at this size. Rows were 2,048 tokens long in a first seed, 16 steps in which neither arm
learned to call (docs/log.md).
"""

import argparse
import gc
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from agents.chat.checkpoint import CheckpointClient
from experiments.ledger import conclude
from experiments.results import RunsFile
from experiments.tuning import START, tune
from gym.benchmarks.open import open_benchmark
from gym.intervals import wilson
from gym.repositories.stored import StoredTasks
from gym.tasksets.repository import Functions
from k2model.chat.messages import encode_prompt
from k2model.chat.tokenizer import K2Tokenizer
from k2model.chat.turn import parse_ids
from k2model.formats.checkpoint import load_checkpoint
from k2model.formats.model_folder import folder_tokenizer
from k2model.inference.generate import Engine
from k2model.inference.request import Request
from k2model.model import K2Model
from stages.evaluate.runner import run_benchmark
from stages.harness.section import load_common, load_section
from stages.harness.seeds import rng
from stages.measure.text_loss import HeldText
from stages.posttraining.benchmark_index import read_index
from stages.posttraining.conversations import SOURCES, clean, encode, trajectories
from stages.posttraining.mixture import Pool
from stages.posttraining.text import text_examples
from stages.sft.batches import TEXT
from stages.sft.params import SftParams

CORPUS, TOKENS, DATA = Path("data/corpus.parquet"), Path("data/tokens"), Path("data/trajectories.parquet")
RUNS, KEPT = RunsFile(Path("docs/experiments/coding.jsonl")), Path("work/experiments/coding")
CODING = "coding"
FUNCTION_TOKENS, ROWS = 384, 8
MEASURES = ("solved", "valid_calls", "opened_file", "opened_function", "edited_file", "edited_function")


def pools(arm: str, p: SftParams, seed: int, tokenizer: K2Tokenizer) -> list[Pool]:
    """Kept conversations of every other kind, coding sessions in half of their rows, and plain text."""
    index = read_index(TOKENS)
    others = [source for sources in SOURCES.values() for source in sources if source != CODING]

    def examples(*sources: str) -> list[Any]:
        kept, _ = clean(trajectories(DATA, *sources), index)
        return encode(tokenizer, kept, p.sequence_length, cut_long=p.cut_long)[0]

    text = text_examples(CORPUS, tokenizer, 40 * p.sequence_length, p.sequence_length, index, rng(seed, "text"))
    spoken, coding = 1 - p.shares.text, 0.5 if arm == "with" else 0.0
    return [
        Pool("conversation", examples(*others), spoken * (1 - coding)),
        Pool("coding", examples(CODING), spoken * coding),
        Pool(TEXT, text, p.shares.text),
    ]


def sessions(model: K2Model, tokenizer: K2Tokenizer, count: int, seed: int) -> dict[str, list[float]]:
    """What came of each of the first `count` held tasks, by measure; the same tasks for everybody."""
    bench = open_benchmark("repairs_python")
    settings = replace(bench.presets["k2"], max_tokens=160, max_steps=8, context=4096, temperature=0.0)
    client = CheckpointClient(model, tokenizer, model="in memory", rows=ROWS)
    rows = run_benchmark(bench, client, settings, seed=seed, items=count)
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    for row in rows:
        parts = json.loads(row["parts"])
        for name in MEASURES:
            found[name].append(float(row["score"] or 0.0) if name == "solved" else parts.get(name, 0.0))
    return found


def completed(model: K2Model, tokenizer: K2Tokenizer, count: int) -> list[int]:
    """1 for each held function that was written so that its tests pass, else 0; greedy."""
    with StoredTasks() as stored:
        taskset = Functions("completion", stored, held=True)
        tasks = taskset.tasks(count, 0, 0.0)
        prompts = [encode_prompt(tokenizer, list(task.messages)) for task in tasks]
        engine = Engine(model, tokenizer, max_batch=ROWS, max_length=max(map(len, prompts)) + FUNCTION_TOKENS)
        requests = [Request(ids, FUNCTION_TOKENS, temperature=0.0, stop_ids=tokenizer.ends) for ids in prompts]
        answers = [parse_ids(tokenizer, result.ids).content for result in engine.generate(requests)]
        return [int(taskset.score(task, text).score == 1.0) for task, text in zip(tasks, answers, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", default="without,with")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--budget", type=int, default=6000, help="tokens of the agent")
    parser.add_argument("--tasks", type=int, default=12, help="held repair tasks")
    parser.add_argument("--functions", type=int, default=12, help="held functions to complete, at most")
    args = parser.parse_args()
    common = load_common()
    p = load_section("sft", SftParams)
    torch.set_num_threads(common.threads)
    tokenizer = folder_tokenizer(START)
    text = HeldText(common.seed)
    if not RUNS.has(untuned := {"record": "text", "arm": "base"}):
        RUNS.add(untuned | {"loss": text(load_checkpoint(START), tokenizer).metrics()["text_loss"]})
    for seed, arm in ((seed, arm) for seed in map(int, args.seeds.split(",")) for arm in args.arms.split(",")):
        run = {"arm": arm, "seed": seed, "budget": args.budget}
        folder = KEPT / f"{arm}-{seed}-{args.budget}"
        if not folder.exists():
            made = pools(arm, p, seed, tokenizer)
            RUNS.add({"record": "tuned"} | run | tune(made, args.budget, p, seed, tokenizer, folder))
            gc.collect()
        model = load_checkpoint(folder).eval()
        if not RUNS.has(key := {"record": "text"} | run):
            RUNS.add(key | {"loss": text(model, tokenizer).metrics()["text_loss"]})
        if not RUNS.has(key := {"record": "sessions"} | run | {"tasks": args.tasks}):
            RUNS.add(key | sessions(model, tokenizer, args.tasks, common.seed))
        if not RUNS.has(key := {"record": "completion"} | run | {"functions": args.functions}):
            right = completed(model, tokenizer, args.functions)
            RUNS.add(key | {"right": sum(right), "interval": wilson(sum(right), len(right)), "each": right})
    conclude("coding")


if __name__ == "__main__":
    main()
