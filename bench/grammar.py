"""The enforcer against the network: what its masks cost beside a decoding step, in one process on one thread.

    python -m bench.grammar [--model models/base] [--rows 1 32] [--budget 160]

Each row must call its tool. `mask` is all that a grammar adds to a step: making the mask, laying it on the logits,
moving on by the token; `decode` is the network, logits included. The floor is what no grammar could save: a mask that
is already there, laid on the logits.
"""

import argparse
import statistics
import time
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.tools.declaration import declaration
from k2model.chat.messages import encode_prompt
from k2model.chat.tokenizer import K2Tokenizer
from k2model.formats.checkpoint import load_checkpoint
from k2model.formats.model_folder import folder_tokenizer
from k2model.inference.generate import Engine
from k2model.inference.grammar import ToolGrammar
from k2model.inference.request import Request
from k2model.inference.sampling import forbid
from k2model.model import K2Model

ASKED = "Please do this for me, with values of your choice."
TEXT, WHOLE, REAL = {"type": "string"}, {"type": "integer"}, {"type": "number"}
PERSON = {"type": "object", "properties": {"name": TEXT, "age": WHOLE}, "required": ["name"]}
TOOLS: dict[str, dict[str, Any]] = {
    "loan_payment": {
        "amount": REAL,
        "years": WHOLE | {"minimum": 1, "maximum": 40},
        "kind": {"enum": ["fixed", "open"]},
    },
    "find_flights": {
        "origin": TEXT,
        "destination": TEXT,
        "date": TEXT | {"format": "date"},
        "direct": {"type": "boolean"},
    },
    "book_table": {"restaurant": TEXT, "guests": {"type": "array", "items": PERSON}, "note": TEXT},
    "mean_of": {"values": {"type": "array", "items": REAL}, "decimals": WHOLE},
    "send_message": {
        "to": TEXT,
        "text": TEXT,
        "urgent": {"type": "boolean"},
        "attachments": {"type": "array", "items": TEXT},
    },
    "convert_unit": {"value": REAL, "unit": {"enum": ["kilometre", "kilogram", "kelvin", "mile"]}, "to": TEXT},
    "set_option": {
        "name": TEXT,
        "value": {"type": ["string", "number", "boolean", "null"]},
        "scope": {"type": "object"},
    },
    "rate_film": {
        "title": TEXT,
        "stars": REAL | {"minimum": 0, "maximum": 5},
        "tags": {"type": "array", "items": TEXT},
    },
}


class TimedEngine(Engine):
    """Sums the seconds of the network and of the grammars, and the tokens that were masked."""

    decode_s = mask_s = 0.0
    masked = 0

    def _decode(self, rows: list[int]) -> Tensor:
        started = time.thread_time()
        logits_BV = super()._decode(rows)
        self.decode_s += time.thread_time() - started
        return logits_BV

    def _shape(self, row: int, logits_V: Tensor) -> bool:
        started = time.thread_time()
        shaped = super()._shape(row, logits_V)
        self.mask_s += time.thread_time() - started
        self.masked += 1
        return shaped

    def _finish_reason(self, slot: Any, token: int) -> str | None:
        started = time.thread_time()
        reason = super()._finish_reason(slot, token)
        self.mask_s += time.thread_time() - started
        return reason


def _requests(grammar: ToolGrammar, rows: int, budget: int) -> tuple[list[Request], float]:
    """(a request for each row, seconds that a turn took to make)."""
    tokenizer: K2Tokenizer = grammar.tokenizer
    requests, seconds = [], 0.0
    for _, (name, properties) in zip(range(rows), cycle(TOOLS.items())):
        schema = {"type": "object", "properties": properties, "required": list(properties)[:2]}
        declared = [declaration(name, "", schema)]
        prompt = encode_prompt(tokenizer, [{"role": "user", "content": ASKED}], declared)
        started = time.thread_time()
        constraint = grammar.turn(declared, max_tokens=budget, choice="required")
        seconds += time.thread_time() - started
        requests.append(Request(prompt, budget, temperature=0.0, stop_ids=tokenizer.ends, constraint=constraint))
    return requests, seconds / rows


def measure(model: K2Model, grammar: ToolGrammar, rows: int, budget: int) -> dict[str, float]:
    """Milliseconds of one row and step, the network's also; `worst` is the largest ratio of a step."""
    requests, turn_s = _requests(grammar, rows, budget)
    length = max(len(request.prompt) for request in requests) + budget
    engine = TimedEngine(model, grammar.tokenizer, max_batch=rows, max_length=length)
    for request in requests:
        engine.submit(request)
    ratios = []
    while engine.busy:
        before = engine.decode_s, engine.mask_s
        engine.step()
        decode_s, mask_s = engine.decode_s - before[0], engine.mask_s - before[1]
        if decode_s:  # none where prompts were read
            ratios.append(mask_s / decode_s)
    decoded = engine.masked - rows
    return {
        "turn_ms": 1e3 * turn_s,
        "decode_ms": 1e3 * engine.decode_s / decoded,
        "mask_ms": 1e3 * engine.mask_s / engine.masked,
        "ratio": engine.mask_s / engine.decode_s,
        "median": statistics.median(ratios),
        "worst": max(ratios),
    }


def floor_ms(vocab_size: int, rows: int) -> float:
    """Milliseconds of a row."""
    logits_BV = torch.randn(rows, vocab_size)
    allowed_BV = torch.rand(rows, vocab_size) < 0.99
    best = float("inf")
    for _ in range(20):
        started = time.thread_time()
        for logits_V, allowed_V in zip(logits_BV, allowed_BV, strict=True):
            forbid(logits_V, allowed_V)
        best = min(best, time.thread_time() - started)
    return 1e3 * best / rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/base"))
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--budget", type=int, default=160, help="tokens of a turn")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer, model = folder_tokenizer(args.model), load_checkpoint(args.model).eval()
    vocab_size = model.config.vocab_size
    grammar = ToolGrammar(tokenizer, vocab_size)
    print(f"vocabulary {vocab_size}, {args.budget} tokens a turn; milliseconds of one row and step")
    for rows in args.rows:
        m = measure(model, grammar, rows, args.budget)
        print(
            f"  {rows:2d} rows: decode {m['decode_ms']:6.2f}  mask {m['mask_ms']:6.3f} (floor"
            f" {floor_ms(vocab_size, rows):.3f})  mask of decode {m['ratio']:.2%}, median step {m['median']:.2%},"
            f" worst step {m['worst']:.1%}; a turn is made in {m['turn_ms']:.1f} ms"
        )


if __name__ == "__main__":
    main()
