"""Which conversations teach a model to call functions that it has never seen, at equal budgets of target tokens.

    python -m experiments.agentic_data --arms none,before,services,worlds,requests,singles,all --seeds 0,1,2

Each arm tunes models/base as the stage `sft` does (its rate, rows, schedule, share of plain text) on conversations of
one kind until as many tokens of the agent were learned; `none` learns plain text alone, `before` the conversations of
an older trajectories.parquet (`--before`). Measured on BFCL by its official checker, greedy, free and under the grammar
of the declared tools (one call at least where a call is wanted), on items that no setting was chosen by: `--choose`
measures on the others; and on conversations at the desks of eight applications that no training data touches (judged by
rule). Held-out text stands beside; a real MCP server kept for measuring is asked by
`python -m experiments.your_tools --kept`. Checkpoints stay in work/experiments/agentic_data; lines of
docs/experiments/agentic_data.jsonl are not measured again.

Rules and verdicts: `experiments/claims.yaml`, `python -m experiments`; fewer seeds than
a rule names stand in the table.
"""

import argparse
import gc
from dataclasses import replace
from pathlib import Path

import torch

from agents.requests.conversation import Requests
from agents.requests.singles import Singles
from agents.tools.everyday import everyday_tools
from experiments.agentic_effects import effects
from experiments.bfcl import SILENT, right_items
from experiments.desks import held_cases, served
from experiments.ledger import conclude
from experiments.results import RunsFile, stamp
from experiments.tuning import START, tune
from gym.benchmarks.base import Sample
from gym.benchmarks.bfcl import Bfcl
from gym.intervals import wilson
from k2model.chat.tokenizer import K2Tokenizer
from k2model.formats.checkpoint import load_checkpoint
from k2model.formats.model_folder import folder_tokenizer
from k2model.inference.grammar import ToolGrammar
from stages.harness.section import load_common, load_section
from stages.harness.seeds import rng, seed32
from stages.harness.tables import TOOLS, read_table
from stages.measure.text_loss import HeldText
from stages.posttraining.benchmark_index import read_index
from stages.posttraining.conversations import Conversation, clean, encode, trajectories
from stages.posttraining.mixture import Pool
from stages.posttraining.text import text_examples
from stages.sft.batches import TEXT
from stages.sft.params import SftParams
from stages.trajectories.params import TrajectoriesParams

CORPUS, TOKENS = Path("data/corpus.parquet"), Path("data/tokens")
RUNS, KEPT = RunsFile(Path("docs/experiments/agentic_data.jsonl")), Path("work/experiments/agentic_data")
CALLING = ("simple_python", "multiple", "parallel", "live_simple")
CALL_TOKENS = 160
ARMS = ("none", "before", "services", "worlds", "requests", "singles", "all")


def conversations(arm: str, count: int, seed: int, before: Path) -> list[Conversation]:
    """What an arm learns from; `count` of what is made here."""
    if arm == "none":
        return []
    if arm == "before":
        return trajectories(before, "simulated")
    worlds = trajectories(Path("data/trajectories.parquet"), "simulated") if arm in ("worlds", "all") else []
    if arm == "worlds":
        return worlds
    section = load_section("trajectories", TrajectoriesParams)
    mix = section.singles.mix if arm == "singles" else section.requests.mix
    if arm == "services":
        mix = replace(mix, everyday=0.0, library=0.0, mcp=0.0, service=1.0)
    rows = read_table(Path("data/tools.parquet"), TOOLS).to_pylist()
    requests = (Singles if arm == "singles" else Requests)(everyday_tools(), rows, mix, seed)
    made: list[Conversation] = [(one.messages, one.declarations()) for one in map(requests.make, range(count))]
    return worlds[: count // 2] + made


def pools(arm: str, p: SftParams, seed: int, tokenizer: K2Tokenizer, before: Path) -> list[Pool]:
    """Conversations of an arm, and plain text in the share that it has in `sft`."""
    index = read_index(TOKENS)
    kept, _ = clean(conversations(arm, 3000, seed32(seed, "requests"), before), index)
    examples = encode(tokenizer, kept, p.sequence_length, cut_long=p.cut_long)[0]
    text = text_examples(CORPUS, tokenizer, 40 * p.sequence_length, p.sequence_length, index, rng(seed, "text"))
    share = p.shares.text if examples else 1.0
    return [Pool("conversation", examples, 1 - share), Pool(TEXT, text, share)]


def chosen(bench: Bfcl, category: str, n: int, *, choose: bool) -> list[Sample]:
    """Items of one half of a category: that by which settings are chosen, or the other."""
    own = [item for item in bench.items() if item.group == category]
    order = rng(0, "bfcl", category).permutation(len(own)).tolist()
    half = order[: len(own) // 2] if choose else order[len(own) // 2 :]
    return [own[k] for k in half[:n]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--budget", type=int, default=4000, help="tokens of the agent")
    parser.add_argument("--items", type=int, default=100, help="of each category, at most half of it")
    parser.add_argument("--categories", default=",".join((*CALLING, *SILENT)))
    parser.add_argument("--desks", type=int, default=80, help="conversations at held desks")
    parser.add_argument("--before", type=Path, default=Path("data/before.parquet"), help="trajectories of before")
    parser.add_argument("--grammar", action="store_true", help="also under the grammar")
    parser.add_argument("--choose", action="store_true", help="measure on the items that settings are chosen by")
    args = parser.parse_args()
    common, p = load_common(), load_section("sft", SftParams)
    torch.set_num_threads(common.threads)
    tokenizer, bench = folder_tokenizer(START), Bfcl()
    if not RUNS.has(untuned := {"record": "text", "arm": "base"}):
        RUNS.add(untuned | {"loss": HeldText(common.seed)(load_checkpoint(START), tokenizer).metrics()["text_loss"]})
    for seed, arm in ((seed, arm) for seed in map(int, args.seeds.split(",")) for arm in args.arms.split(",")):
        run = {"arm": arm, "seed": seed, "budget": args.budget}
        folder = KEPT / f"{arm}-{seed}-{args.budget}"
        if not folder.exists():
            made = pools(arm, p, seed, tokenizer, args.before)
            RUNS.add({"record": "tuned"} | run | tune(made, args.budget, p, seed, tokenizer, folder))
            gc.collect()
        model = load_checkpoint(folder).eval()
        if not RUNS.has(text := {"record": "text"} | run):
            RUNS.add(text | {"loss": HeldText(common.seed)(model, tokenizer).metrics()["text_loss"]})
        if args.desks and not RUNS.has(key := {"record": "desks"} | run | {"cases": args.desks}):
            right = served(model, tokenizer, held_cases(args.desks))
            RUNS.add(key | {"right": sum(right), "interval": wilson(sum(right), len(right)), "each": right})
        grammar = ToolGrammar(tokenizer, model.config.vocab_size)
        for category in args.categories.split(","):
            for rules in (None, grammar) if args.grammar else (None,):
                key = {"record": "score"} | run | {"category": category, "grammar": rules is not None}
                key |= {"choose": args.choose, "items": args.items}
                if not RUNS.has(key):
                    items = chosen(bench, category, args.items, choose=args.choose)
                    right = right_items(model, tokenizer, bench, items, CALL_TOKENS, rules)
                    RUNS.add(key | {"right": sum(right), "interval": wilson(sum(right), len(items)), "each": right})
    size = stamp()["size"]
    RUNS.conclude(effect=lambda runs: effects([run for run in runs if run["stamp"]["size"] == size], args.budget))
    conclude("agentic_data")


if __name__ == "__main__":
    main()
