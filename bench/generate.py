"""Generation against transformers' `generate` on the same weights, in one process, one thread.

    python -m bench.generate [--preset h100 --layers 4] [--batches 1 32]

Both generate greedily the same number of tokens from the same random prompts. In float32 the ids must be equal; in
bfloat16 sums in another order tip near ties, so their share is printed. Engines take turns; the ratio is of the best
turn of each, prefill inside. In bfloat16 our weights are rearranged for decoding (`k2model.inference.decode.prepare`).
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from k2model.config import K2Config
from k2model.formats.checkpoint import load_checkpoint, save_checkpoint, widen_biases
from k2model.inference.decode import prepare
from k2model.inference.generate import Engine
from k2model.inference.request import Request
from k2model.model import K2Model

Call = Callable[[], list[list[int]]]


def _prompts(batch: int, length: int, vocabulary: int) -> list[list[int]]:
    g = torch.Generator().manual_seed(0)
    return torch.randint(0, vocabulary, (batch, length), generator=g).tolist()


def compare(
    model: K2Model, folder: Path, dtype: torch.dtype, batch: int, prompt: int, new: int, rounds: int
) -> dict[str, float]:
    """Seconds of the best turn of each engine."""
    config = model.config
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    prompts = _prompts(batch, prompt, config.vocab_size)
    engine = Engine(model, max_batch=batch, max_length=prompt + new)
    settings = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False, "pad_token_id": 0}

    def ours() -> list[list[int]]:
        return [result.ids for result in engine.generate([Request(ids, new, temperature=0.0) for ids in prompts])]

    def peer() -> list[list[int]]:
        ids = torch.tensor(prompts)
        with torch.inference_mode():
            generated = theirs.generate(ids, attention_mask=torch.ones_like(ids), eos_token_id=None, **settings)
        return generated[:, prompt:].tolist()

    calls: dict[str, Call] = {"ours": ours, "transformers": peer}
    best = dict.fromkeys(calls, float("inf"))
    ids: dict[str, list[list[int]]] = {}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.thread_time()
            ids[name] = call()
            best[name] = min(best[name], time.thread_time() - started)
    same = sum(a == b for a, b in zip(ids["ours"], ids["transformers"], strict=True))
    print(f"  same ids in {same} of {batch} requests")
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--layers", type=int, help="fewer layers than the preset's")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    dtype = getattr(torch, args.dtype)
    overrides = {} if args.layers is None else {"num_hidden_layers": args.layers}
    model = K2Model(K2Config.preset(args.preset, **overrides), seed=1).to(dtype).eval()
    widen_biases(model)
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim > 1:
                p.mul_(3.0)  # away from ties
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp) / "m"
        save_checkpoint(model, folder)
        for batch in args.batches:
            print(f"{args.preset} {args.dtype}, batch {batch}, prompt {args.prompt}, {args.new} new tokens")
            if dtype == torch.bfloat16:
                model = prepare(load_checkpoint(folder))
            best = compare(model, folder, dtype, batch, args.prompt, args.new, args.rounds)
            for name, seconds in best.items():
                speed = batch * args.new / seconds
                print(f"  {name:14s} {speed:8.1f} tokens/s   ours is {seconds / best['ours']:5.2f}x")


if __name__ == "__main__":
    main()
