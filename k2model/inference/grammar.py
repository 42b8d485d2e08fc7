"""The enforcer: a grammar over the assistant's turn under which every tool call parses and satisfies its schema.

The report (Appendix B) constrains decoding inside the tool section to the template, the declared tools and their
JSON schemas. Here the whole turn is a grammar (llguidance): optional thinking, text, and a tool section whose call
ids count on from the dialog's counter. Markers are matched as token ids, so no spelling of a marker can stand in
for one.

A model that never closes a string would run out of tokens inside a call. So near the end of its budget the turn is
led to its end: the way out that greedy closing finds is followed from where the next token could make it too long.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from torch import Tensor

from k2model.chat.tokenizer import K2Tokenizer
from k2model.errors import ConfigError

CHOICES = ("auto", "required", "none")
MAX_CALLS = 8
# A way out longer than this isn't looked for: the schema demands more than the budget of a call.
LONGEST_WAY_OUT = 1024
TEXT_GROWTH = 4  # outside calls a token can begin thinking, or a character of four bytes
PATIENCE = 64  # tokens until it is looked for again
CLOSERS = (
    "<|im_end|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_end|>",
    "</think>",
    "<|tool_calls_section_begin|>",
)


class _Vocabulary:
    """What llguidance asks of a tokenizer."""

    def __init__(self, tokenizer: K2Tokenizer) -> None:
        self.eos_token_id = tokenizer.im_end
        self.bos_token_id = tokenizer.bos
        self.tokens = tokenizer.token_bytes()
        self.special_token_ids = sorted(tokenizer.special.values())
        self._tokenizer = tokenizer

    def __call__(self, text: str) -> list[int]:
        return self._tokenizer.encode(text)


def tool_schema(tool: Mapping[str, Any], place: int) -> tuple[str, dict[str, Any]]:
    """(name, JSON schema of the arguments) of a declared tool.

    Raises:
        ConfigError: no name, or a schema whose value is no object.
    """
    function = tool.get("function", tool)
    name, schema = function.get("name"), function.get("parameters") or {}
    if not isinstance(name, str) or not name:
        raise ConfigError(f"tools[{place}].function.name: {name!r} is no name")
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        raise ConfigError(f"tools[{place}].function.parameters: the schema of {name!r} isn't of an object")
    return name, {"type": "object"} | schema


class ToolGrammar:
    """Compiles the turns of one tokenizer; grammars of the same tools are compiled once.

    Args:
        vocab_size: width of the model's logits, the tokenizer's size by default.
    """

    def __init__(self, tokenizer: K2Tokenizer, vocab_size: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.vocab_size = vocab_size or tokenizer.vocab_size
        if self.vocab_size < tokenizer.vocab_size:
            raise ConfigError(f"vocab_size: {self.vocab_size} is below the tokenizer's {tokenizer.vocab_size}")
        self._ll = LLTokenizer(TokenizerWrapper(_Vocabulary(tokenizer)))
        self._compiled: dict[str, tuple[LLMatcher, int]] = {}
        self.pieces = tokenizer.token_bytes()
        special = set(tokenizer.special.values())
        closing = [tokenizer.special[name] for name in CLOSERS]
        self._outside, self._in_string = (
            np.argsort([_rank(piece, i, closing, special, signs) for i, piece in enumerate(self.pieces)], kind="stable")
            for signs in (b'}]"', b'"}]')
        )
        # Where a quote, a bracket and a letter may all come next, a string is open.
        self._string_signs = [self.pieces.index(sign) for sign in (b'"', b"}", b"q")]

    def turn(
        self,
        tools: Sequence[Mapping[str, Any]],
        *,
        max_tokens: int,
        choice: str = "auto",
        function: str | None = None,
        first_index: int = 0,
        parallel: bool = True,
    ) -> "TurnConstraint":
        """The constraint of one assistant turn.

        Args:
            tools: OpenAI declarations.
            max_tokens: budget of the request; the turn ends within it.
            choice: `auto`, `required` (at least one call) or `none`.
            function: only this tool may be called, and it must be.
            first_index: the dialog's call counter (`chat.next_call_index`).
            parallel: more than one call in a turn.

        Raises:
            ConfigError: tools or a choice that can't be, a schema that the grammar can't express, or a budget
                below the shortest turn.
        """
        if choice not in CHOICES:
            raise ConfigError(f"tool_choice: {choice!r} is none of {', '.join(CHOICES)}")
        declared = [tool_schema(tool, place) for place, tool in enumerate(tools)]
        names = [name for name, _ in declared]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(f"tools: {twice!r} is declared twice")
        if function is not None:
            if function not in names:
                raise ConfigError(f"tool_choice: {function!r} is no declared tool")
            declared, choice = [item for item in declared if item[0] == function], "required"
        if choice == "required" and not declared:
            raise ConfigError("tool_choice: a call is required and no tools are declared")
        grammar = self._lark(declared, choice, first_index, MAX_CALLS if parallel else 1)
        matcher, growth = self._matcher(grammar, declared)
        shortest = self.way_out(matcher)
        if shortest is not None and len(shortest) > max_tokens:
            raise ConfigError(f"max_tokens: {max_tokens} is below the {len(shortest)} of the shortest turn")
        return TurnConstraint(self, matcher, max_tokens, growth, must_call=choice == "required")

    def _lark(self, declared: Sequence[tuple[str, dict[str, Any]]], choice: str, first: int, calls: int) -> str:
        mark = {name: f"<[{i}]>" for name, i in self.tokenizer.special.items()}
        section = {"auto": " section?", "required": " section", "none": ""}[choice if declared else "none"]
        rules = [
            f"start: think? text{section}",
            f"think: {mark['<think>']} text {mark['</think>']}",
            "text: /(?s:.*)/",
        ]
        if section:
            begin, end = mark["<|tool_calls_section_begin|>"], mark["<|tool_calls_section_end|>"]
            argument = mark["<|tool_call_argument_begin|>"]
            rules.append(f"section: {begin} call_0 {end}")
            for k in range(calls):
                more = f" call_{k + 1}?" if k + 1 < calls else ""
                ways = " | ".join(
                    f"{json.dumps(f'functions.{name}:{first + k}')} {argument} arguments_{t}"
                    for t, (name, _) in enumerate(declared)
                )
                rules.append(f"call_{k}: {mark['<|tool_call_begin|>']} ({ways}) {mark['<|tool_call_end|>']}{more}")
            for t, (_, schema) in enumerate(declared):
                rules.append(f"arguments_{t}: %json {json.dumps(_json_rule(schema))}")
        return "\n".join(rules)

    def _matcher(self, grammar: str, declared: Sequence[tuple[str, dict[str, Any]]]) -> tuple[LLMatcher, int]:
        """(matcher at the start, bound on how much one token lengthens the way out)."""
        if grammar not in self._compiled:
            matcher = LLMatcher(self._ll, LLMatcher.grammar_from_lark(grammar), log_level=0)
            if matcher.is_error():
                raise ConfigError(self._complaint(declared) or f"tools: {_first_line(matcher.get_error())}")
            self._compiled[grammar] = matcher, self._growth(declared)
        matcher, growth = self._compiled[grammar]
        return matcher.deep_copy(), growth

    def _json_matcher(self, schema: dict[str, Any]) -> LLMatcher:
        rule = LLMatcher.grammar_from_json_schema(json.dumps(_json_rule(schema)))
        return LLMatcher(self._ll, rule, log_level=0)

    def _complaint(self, declared: Sequence[tuple[str, dict[str, Any]]]) -> str | None:
        """Names the tool whose schema doesn't compile."""
        for name, schema in declared:
            error = self._json_matcher(schema).get_error()
            if error:
                return f"tools: the schema of {name!r} can't be enforced: {_first_line(error)}"
        return None

    def _growth(self, declared: Sequence[tuple[str, dict[str, Any]]]) -> int:
        """A token can at most begin a call or a nested value: the longest of those, with its key."""
        longest = 0
        for name, schema in declared:
            longest = max(longest, len(self.tokenizer.encode(f"functions.{name}:0")))
            shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
            for key, inner in _subschemas(schema):
                matcher = self._json_matcher(shared | inner)
                way = None if matcher.is_error() else self.way_out(matcher)
                longest = max(longest, len(way or ()) + len(self.tokenizer.encode(key)))
        return longest + 8

    def mask(self, matcher: LLMatcher) -> np.ndarray:
        """Boolean [tokenizer vocabulary]: what may come next; the end of the turn where the grammar is at its end."""
        if matcher.is_stopped():
            only = np.zeros(self.tokenizer.vocab_size, dtype=bool)
            only[self.tokenizer.im_end] = True
            return only
        bits = allocate_token_bitmask(1, self._ll.vocab_size)
        fill_next_token_bitmask(matcher, bits, 0)
        return np.unpackbits(bits[0].view(np.uint8), bitorder="little")[: self.tokenizer.vocab_size].astype(bool)

    def way_out(self, matcher: LLMatcher) -> list[int] | None:
        """Tokens that end the turn from here, closing at each step; None when closing does not end it."""
        matcher = matcher.deep_copy()
        found: list[int] = []
        while len(found) < LONGEST_WAY_OUT:
            if matcher.is_stopped() or matcher.is_accepting():
                return [*found, self.tokenizer.im_end]
            allowed = self.mask(matcher)
            order = self._in_string if allowed[self._string_signs].all() else self._outside
            found.append(int(order[np.argmax(allowed[order])]))
            matcher.consume_token(found[-1])
        return None


def _rank(piece: bytes, token: int, closing: Sequence[int], special: set[int], signs: bytes) -> int:
    """How soon a token leads to the end: closing markers, signs in their order, separators, longer before shorter."""
    if token in closing:
        return closing.index(token)
    if token in special:
        return 10**9
    if piece and all(byte in signs for byte in piece):
        kind = signs.index(piece[:1])
    elif piece[:1] in (b",", b":"):
        kind = 3
    else:
        kind = 6 if piece[:1].isdigit() else 4
    return 1000 * (kind + 1) - min(len(piece), 999)


def _subschemas(schema: Any, key: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, every schema inside a schema, itself included)."""
    if isinstance(schema, list):
        for item in schema:
            yield from _subschemas(item, key)
    if not isinstance(schema, dict):
        return
    if schema.keys() & {"type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf", "properties"}:
        yield key, schema
    for name, inner in schema.items():
        if name not in ("enum", "const", "default", "examples", "required"):
            yield from _subschemas(inner, name)


def _json_rule(schema: dict[str, Any]) -> dict[str, Any]:
    """Separators as `json.dumps` writes them; white space is not the model's to choose."""
    style = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    return schema | {"x-guidance": style}


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0]


class TurnConstraint:
    """One assistant turn under a grammar (`generate.Constraint`); ends with `<|im_end|>`."""

    def __init__(
        self, grammar: ToolGrammar, matcher: LLMatcher, max_tokens: int, growth: int, *, must_call: bool
    ) -> None:
        self._grammar, self._matcher, self._growth = grammar, matcher, growth
        self._left = max_tokens
        self._ended = False
        self._section = grammar.tokenizer.special["<|tool_calls_section_begin|>"]
        self._in_call = must_call
        # The way out is looked for when no more tokens than this are left.
        self._look_at = max_tokens if must_call else 2 * TEXT_GROWTH
        self._call_cost = 0 if must_call else self._cost_of_a_call()
        self._forced: list[int] = []
        self._led = False

    def allowed(self) -> Tensor:
        """Boolean [vocabulary of the model]."""
        if not self._forced and self._left <= self._look_at:
            self._look()
        mask_V = torch.zeros(self._grammar.vocab_size, dtype=torch.bool)
        if self._forced:
            mask_V[self._forced[0]] = True
        else:
            allowed = self._grammar.mask(self._matcher)
            mask_V[: len(allowed)] = torch.from_numpy(allowed)
            if not self._in_call and self._left <= self._call_cost:
                mask_V[self._section] = False
        return mask_V

    def accept(self, token: int) -> None:
        """Moves on by a token. Raises ConfigError for one that the grammar forbids."""
        if self._forced:
            self._forced.pop(0)
        at_end = self._matcher.is_stopped() or self._matcher.is_accepting()
        if token == self._grammar.tokenizer.im_end and at_end:
            self._ended = True
        elif not self._matcher.consume_token(token):
            raise ConfigError(f"token {token} is not allowed here: {_first_line(self._matcher.get_error())}")
        self._left -= 1
        if token == self._section and not self._in_call:
            self._in_call, self._look_at = True, self._left

    def finished(self) -> bool:
        """True once the end of the turn was accepted."""
        return self._ended

    def forced(self) -> bool:
        """True once the budget led the turn to its end."""
        return self._led

    def _cost_of_a_call(self) -> int:
        matcher = self._matcher.deep_copy()
        if self._section not in np.flatnonzero(self._grammar.mask(matcher)):
            return 0
        matcher.consume_token(self._section)
        return 1 + len(self._grammar.way_out(matcher) or ()) + self._growth

    def _look(self) -> None:
        way = self._grammar.way_out(self._matcher)
        if way is None:
            self._look_at = self._left - PATIENCE
        elif len(way) + (self._growth if self._in_call else TEXT_GROWTH) >= self._left - 1:
            self._forced, self._led = way, True
        else:
            # k tokens on, the way out is at most k · growth longer and k tokens fewer are left.
            spare = self._left - len(way) - self._growth - 1
            self._look_at = self._left - max(1, spare // (self._growth + 1))
