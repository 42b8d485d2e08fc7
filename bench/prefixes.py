"""What reusing prefixes saves: the engine with it against the same engine without, on random weights and tokens.

    python -m bench.prefixes [--preset laptop] [--dtype float32] [--turns 8] [--dialogues 8]

A dialogue of several turns, each of which adds an answer and a question; then dialogues at once that begin with the
same system prompt. Prompt tokens read, seconds of this thread, and in how many answers the tokens are the same.
"""

import argparse
import time
from collections.abc import Callable

import torch

from k2model.config import K2Config
from k2model.formats.checkpoint import widen_biases
from k2model.inference.decode import prepare
from k2model.inference.generate import Engine
from k2model.inference.request import Request
from k2model.model import K2Model

SYSTEM, QUESTION, ANSWER = 1000, 100, 50  # tokens

Ask = Callable[[Engine], list[list[int]]]


def _tokens(count: int, length: int, vocabulary: int, seed: int) -> list[list[int]]:
    return torch.randint(0, vocabulary, (count, length), generator=torch.Generator().manual_seed(seed)).tolist()


def _answers(engine: Engine, prompts: list[list[int]]) -> list[list[int]]:
    return [result.ids for result in engine.generate([Request(ids, ANSWER, temperature=0.0) for ids in prompts])]


def compare(name: str, model: K2Model, rows: int, length: int, ask: Ask) -> None:
    """Prints a line."""
    told, found = [], []
    for reuse in (True, False):
        engine = Engine(
            model, max_batch=rows, max_length=length, prefill_chunk=256, prefill_tokens=256, reuse_prefixes=reuse
        )
        started = time.thread_time()
        found.append(ask(engine))
        told.append((engine.read, time.thread_time() - started))
    same = sum(a == b for a, b in zip(*found, strict=True))
    (read, with_s), (all_read, without_s) = told
    print(f"{name}: {read} prompt tokens read instead of {all_read}, {with_s:.2f} s instead of {without_s:.2f} s")
    print(f"  ratio {without_s / with_s:.2f}; same ids in {same} of {len(found[0])} answers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--dialogues", type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(1)
    length = SYSTEM + max(args.turns, 1) * (QUESTION + ANSWER)
    config = K2Config.preset(args.preset, max_position_embeddings=length)
    model = K2Model(config, seed=1).to(getattr(torch, args.dtype)).eval()
    widen_biases(model)
    if args.dtype == "bfloat16":
        model = prepare(model)
    (system,) = _tokens(1, SYSTEM, config.vocab_size, 0)

    def dialogue(engine: Engine) -> list[list[int]]:
        history, answers = system, []
        for question in _tokens(args.turns, QUESTION, config.vocab_size, 1):
            (answer,) = _answers(engine, [[*history, *question]])
            history = [*history, *question, *answer]
            answers.append(answer)
        return answers

    def siblings(engine: Engine) -> list[list[int]]:
        questions = _tokens(args.dialogues, QUESTION, config.vocab_size, 2)
        return _answers(engine, [[*system, *question] for question in questions])

    compare(f"a dialogue of {args.turns} turns", model, 1, length, dialogue)
    compare(f"{args.dialogues} dialogues with the same system prompt", model, args.dialogues, length, siblings)


if __name__ == "__main__":
    main()
