"""BFCL's single-turn items, answered greedily by a network in memory and judged by the official checker."""

from collections.abc import Sequence
from typing import Any

from gym.benchmarks.base import Reply, Sample
from gym.benchmarks.bfcl import Bfcl
from k2model.chat.messages import encode_prompt
from k2model.chat.tokenizer import K2Tokenizer
from k2model.chat.turn import parse_ids
from k2model.errors import ConfigError
from k2model.inference.generate import Engine
from k2model.inference.grammar import ToolGrammar
from k2model.inference.request import Request
from k2model.inference.turn_constraint import TurnConstraint
from k2model.model import K2Model

ROWS = 32
SILENT = ("irrelevance",)  # categories in which nothing must be called


def right_items(
    model: K2Model,
    tokenizer: K2Tokenizer,
    bench: Bfcl,
    items: Sequence[Sample],
    call_tokens: int,
    grammar: ToolGrammar | None = None,
) -> list[int]:
    """1 for each item that is right, else 0.

    Args:
        call_tokens: that an answer may have.
        grammar: of the declared tools, under which there is a call at least where one is wanted; None leaves it free.
    """
    prompts = [encode_prompt(tokenizer, list(item.messages), list(item.tools)) for item in items]
    engine = Engine(model, tokenizer, max_batch=ROWS, max_length=max(map(len, prompts)) + call_tokens)
    requests = []
    for item, prompt in zip(items, prompts, strict=True):
        rules = None if grammar is None else _rules(grammar, item, call_tokens)
        requests.append(Request(prompt, call_tokens, temperature=0.0, stop_ids=tokenizer.ends, constraint=rules))
    right = []
    for item, result in zip(items, engine.generate(requests), strict=True):
        parsed = parse_ids(tokenizer, result.ids)
        message: dict[str, Any] = parsed.message()
        reply = Reply(parsed.content, tool_calls=tuple(message.get("tool_calls") or ()))
        right.append(int(bench.grade(item, reply).result.score == 1.0))
    return right


def _rules(grammar: ToolGrammar, item: Sample, call_tokens: int) -> TurnConstraint | None:
    choice = "auto" if item.group in SILENT else "required"
    try:
        return grammar.turn(item.tools, max_tokens=call_tokens, choice=choice)
    except ConfigError:  # a schema that no finite value satisfies: this item is asked without
        return None
