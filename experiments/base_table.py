"""What each step from the dense original to the INT4 checkpoint keeps and adds, on the same items for all.

    python -m experiments.base_table dense models/base models/pretrain models/sft models/rl models/qat

For each folder: loss on held-out text, closed-book facts of trained documents, calls of held-out trajectories, BFCL's
simple_python, elementary tasks; shares with Wilson's interval. `dense` is the original of `base`, which knows no calls:
its loss and its facts. It reads the pipeline's data in data/, prints one row of a Markdown table as each is done and
adds it to docs/experiments/base_table.jsonl.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from experiments.bfcl import right_items
from experiments.results import stamp
from gym.benchmarks.bfcl import Bfcl
from gym.intervals import wilson
from gym.tasksets.elementary import Elementary
from k2model.chat.seats import seat_special_tokens
from k2model.chat.tokenizer import K2Tokenizer
from k2model.formats.dense import DenseModel
from k2model.formats.int4_checkpoint import load_any
from k2model.formats.model_folder import folder_tokenizer
from k2model.model import K2Model
from stages.base.new_tokens import seat_rows
from stages.evaluate.params import EvaluateParams
from stages.evaluate.text import chosen_facts, facts_asked
from stages.harness.base_model import find_source, open_dense
from stages.harness.section import load_common, load_section
from stages.harness.seeds import rng, seed32
from stages.measure.closed_book import ends_of_answer, is_correct, prompt
from stages.measure.tasks import call_accuracy, elementary_scores
from stages.measure.text_loss import HeldText
from stages.posttraining.benchmark_index import read_index
from stages.posttraining.conversations import (
    SOURCES,
    Conversation,
    clean,
    encode,
    of_examples,
    split,
    trajectories,
)
from stages.sft.params import SftParams

DENSE = "dense"
OUT = Path("docs/experiments/base_table.jsonl")
TRAJECTORIES, TOKENS = Path("data/trajectories.parquet"), Path("data/tokens")
FAMILIES = ("parity", "size", "category", "compare")
CALL_TOKENS = 96
COLUMNS = ("text loss", "facts", "held calls", "BFCL simple_python", "elementary")
Counted = tuple[int, int]  # right, of


def _counted(scored: Mapping[str, float], name: str) -> Counted:
    return round(scored[name] * scored[f"{name}_n"]), int(scored[f"{name}_n"])


def facts(model: K2Model, tokenizer: K2Tokenizer, n: int, seed: int) -> Counted:
    """Closed-book questions about documents of the training split, as the stage `evaluate` asks them."""
    p = load_section("evaluate", EvaluateParams).model_copy(update={"facts": n})
    scored, _ = facts_asked(p, seed, model, tokenizer, {"facts": "train"})
    return _counted(scored, "facts")


def dense_facts(dense: DenseModel, tokenizer: K2Tokenizer, n: int, seed: int) -> Counted:
    """The same questions, answered greedily by the dense original."""
    p = load_section("evaluate", EvaluateParams).model_copy(update={"facts": n})
    asked, pool = chosen_facts(p, seed, "train")
    ends = ends_of_answer(tokenizer)
    right = 0
    for fact in asked:
        ids = [tokenizer.bos, *tokenizer.encode(prompt(fact, pool, p.shots))]
        answer: list[int] = []
        while len(answer) < p.answer_tokens:
            best = int(dense.logits(torch.tensor([ids + answer]))[0, -1].argmax())
            if best in ends:
                break
            answer.append(best)
        right += is_correct(tokenizer.decode(answer), fact)
    return right, len(asked)


def held_calls(model: K2Model, tokenizer: K2Tokenizer, n: int, seed: int) -> Counted:
    """Turns of the conversations that the stage `sft` held out and that fit its rows."""
    p = load_section("sft", SftParams)
    index, held = read_index(TOKENS), list[Conversation]()
    for sources in SOURCES.values():
        kept, _ = clean(trajectories(TRAJECTORIES, *sources), index)
        held += split(kept, p.held_fraction, rng(seed, "sft", "split"))[1]
    _, places, _ = encode(tokenizer, held, p.sequence_length, cut_long=p.cut_long)
    fitting = of_examples(held, places)
    return _counted(
        call_accuracy(model, tokenizer, fitting, n, p.sequence_length, rng(seed, "sft", "calls")), "call_accuracy"
    )


def bfcl(model: K2Model, tokenizer: K2Tokenizer, n: int, seed: int) -> Counted:
    """Items of simple_python by the official checker, greedy, without a grammar."""
    bench = Bfcl()
    items = [sample for sample in bench.items() if sample.group == "simple_python"]
    chosen = [items[k] for k in rng(seed, "bfcl").permutation(len(items))[:n]]
    return sum(right_items(model, tokenizer, bench, chosen, CALL_TOKENS)), len(chosen)


def elementary(model: K2Model, tokenizer: K2Tokenizer, n: int, seed: int) -> Counted:
    """Held problems of four families."""
    tasks = {name: Elementary(name, "held").tasks(n // len(FAMILIES), seed32(seed, "held"), 0.0) for name in FAMILIES}
    scores = [score for own in elementary_scores(model, tokenizer, tasks).values() for score in own]
    return round(sum(scores)), len(scores)


MEASURES: dict[str, Callable[[K2Model, K2Tokenizer, int, int], Counted]] = {
    "facts": facts,
    "held calls": held_calls,
    "BFCL simple_python": bfcl,
    "elementary": elementary,
}


def shown(right: int, n: int) -> str:
    low, high = wilson(right, n)
    return f"{right / n:.0%} [{low:.0%}, {high:.0%}] of {n}"


def measured(folder: str, items: int, seed: int) -> tuple[float, dict[str, Counted]]:
    """Loss on held-out text, and what was counted, by column."""
    if folder != DENSE:
        model, tokenizer = load_any(Path(folder)).eval(), folder_tokenizer(Path(folder))
        loss = HeldText(seed)(model, tokenizer)
        return loss.metrics()["text_loss"], {name: of(model, tokenizer, items, seed) for name, of in MEASURES.items()}
    dense, own = open_dense(find_source(load_common().base))
    seated, new = seat_special_tokens(own)
    dense = DenseModel(dense.config, seat_rows(dense.weights, own, seated, new))
    loss = HeldText(seed).of(dense, seated, dense.config.context)
    return loss.metrics()["text_loss"], {"facts": dense_facts(dense, seated, items, seed)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--items", type=int, default=100)
    args = parser.parse_args()
    common = load_common()
    torch.set_num_threads(common.threads)
    print(f"| model | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}", flush=True)
    for folder in args.folders:
        loss, counts = measured(folder, args.items, common.seed)
        cells = [f"{loss:.4f}", *(shown(*counts[name]) if name in counts else "–" for name in MEASURES)]
        print(f"| {folder} | {' | '.join(cells)} |", flush=True)
        line = {"record": "model", "model": folder, "text_loss": loss, "counts": counts, "stamp": stamp()}
        with OUT.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
