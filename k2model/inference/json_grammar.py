"""Grammars of JSON values: compiled once for a schema, followed token by token, ended in the fewest tokens."""

import json
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from k2model.chat.tokenizer import K2Tokenizer
from k2model.errors import ConfigError
from k2model.inference.json_schema.begun import Begun, scan
from k2model.inference.json_schema.completion import Completer, SchemaTooBig
from k2model.inference.json_schema.rules import STYLE, rules
from k2model.inference.json_schema.schema import LEVELS, Schema, Value, within_widest

MAX_COMPILED = 1024
MAX_DEPTH = 100  # readers refuse what is nested much deeper (`chat.model_json`)


class _Vocabulary:
    """What llguidance asks of a tokenizer."""

    def __init__(self, tokenizer: K2Tokenizer) -> None:
        self.eos_token_id = tokenizer.im_end
        self.bos_token_id = tokenizer.bos
        self.tokens = tokenizer.token_bytes()
        self.special_token_ids = sorted(tokenizer.backend.get_added_tokens_decoder())
        self._tokenizer = tokenizer

    def __call__(self, text: str) -> list[int]:
        return self._tokenizer.encode(text)


@dataclass(frozen=True)
class JsonGrammar:
    """A compiled schema.

    Attributes:
        unheld: places of keywords that the grammar doesn't hold, e.g. `/properties/a/not`; `Schema.problem` checks
            them.
        shortest: tokens of the shortest value.
        growth: tokens that one more token can make the way out longer.
        patterned: strings must match expressions.
    """

    schema: Schema
    matcher: LLMatcher = field(repr=False)
    completer: Completer = field(repr=False)
    unheld: tuple[str, ...]
    shortest: tuple[int, ...] = field(repr=False)
    growth: int
    patterned: bool


class JsonGrammars:
    """Compiles schemas for one tokenizer, each once."""

    def __init__(self, tokenizer: K2Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._ll = LLTokenizer(TokenizerWrapper(_Vocabulary(tokenizer)))
        self.single = {piece[0]: i for i, piece in reversed([*enumerate(tokenizer.token_bytes())]) if len(piece) == 1}
        self._compiled: dict[str, JsonGrammar] = {}
        self._numbers: dict[str, LLMatcher] = {}

    def compile(self, schema: Any, what: str, *, is_object: bool) -> JsonGrammar:
        """The grammar of a schema; `what` names it in errors, `is_object` wants values that are objects.

        Raises:
            ConfigError: no value satisfies the schema, or none that is finite; or it isn't of an object.
        """
        try:
            key = json.dumps([schema, is_object], default=repr)
        except RecursionError:
            raise ConfigError(f"{what}: nested too deep") from None
        if key not in self._compiled:
            if len(self._compiled) >= MAX_COMPILED:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[key] = self._compile(schema, what, is_object=is_object)
        return self._compiled[key]

    def _compile(self, value: Any, what: str, *, is_object: bool) -> JsonGrammar:
        schema = Schema(value)
        endless = False
        for level in range(len(LEVELS)):
            whole, unheld = schema.held(level)
            whole = _of_object(whole, what) if is_object else whole
            for plain in (True, False) if rules(whole) is not None else (False,):
                try:
                    held, completer = self._pruned(whole, self._completer(whole, plain=plain), plain=plain)
                    shortest = completer.shortest()
                except (SchemaTooBig, RecursionError):
                    continue
                endless = shortest is None
                if shortest is not None:
                    matcher = self._matcher(held, plain=plain)
                    grammar = self._grammar(schema, matcher, held, completer, shortest, unheld)
                    if grammar is not None:
                        return grammar
        if endless:
            raise ConfigError(f"{what}: no finite value satisfies the schema")
        held = _of_object({}, what) if is_object else True
        completer = self._completer(held, plain=False)
        matcher = self._matcher(held, plain=False)
        grammar = self._grammar(schema, matcher, held, completer, completer.shortest() or "", ["/"])
        assert grammar is not None
        return grammar

    def _completer(self, held: Value, *, plain: bool) -> Completer:
        return Completer(held, partial(self._number_held, plain=plain), any_order=plain)

    def _grammar(
        self,
        schema: Schema,
        matcher: LLMatcher,
        held: Value,
        completer: Completer,
        shortest: str,
        unheld: list[str],
    ) -> JsonGrammar | None:
        tokens = self.tokenizer.encode(shortest)
        if matcher.is_error() or matcher.validate_tokens(tokens) != len(tokens):
            return None
        ended = matcher.deep_copy()
        if not ended.consume_tokens(tokens) or not ended.is_accepting():
            return None
        keys = max((len(self.tokenizer.encode(key)) for key in completer.member_names()), default=0)
        growth = len(self.tokenizer.encode(completer.longest())) + keys + 8
        return JsonGrammar(
            schema, matcher, completer, tuple(unheld), tuple(tokens), growth, '"pattern"' in json.dumps(held)
        )

    def _matcher(self, held: Value, *, plain: bool) -> LLMatcher:
        """Of rules of our own for a schema of plain parts, else of llguidance's for a schema."""
        text = rules(held) if plain else None
        if text is not None:
            grammar = LLMatcher.grammar_from_lark(text)
        else:
            schema = within_widest(held) | {"x-guidance": STYLE} if isinstance(held, dict) else held
            grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema))
        return LLMatcher(self._ll, grammar, log_level=0)

    def _number_held(self, schema: Value, text: str, *, plain: bool) -> bool:
        key = json.dumps([schema, plain])
        if key not in self._numbers:
            if len(self._numbers) >= MAX_COMPILED:
                del self._numbers[next(iter(self._numbers))]
            self._numbers[key] = self._matcher(schema, plain=plain)
        matcher = self._numbers[key].deep_copy()
        return not matcher.is_error() and matcher.consume_tokens(self.tokenizer.encode(text)) and matcher.is_accepting()

    def _pruned(self, held: Value, completer: Completer, *, plain: bool) -> tuple[Value, Completer]:
        """Without the optional members, items and choices that have no finite value: begun, they would never end."""
        endless = [schema for schema in completer.inner(held) if not completer.finite(schema)]
        if not endless:
            return held, completer
        held = _forbidden(held, {id(schema) for schema in endless})
        return held, self._completer(held, plain=plain)

    def mask(self, matcher: LLMatcher) -> np.ndarray:
        """Boolean [tokenizer vocabulary]: what may come next; the end of the turn where the value may be at its end."""
        only = np.zeros(self.tokenizer.vocab_size, dtype=bool)
        if matcher.is_stopped() and not matcher.is_error():
            only[self.tokenizer.im_end] = True
            return only
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        if matcher.is_error():
            raise ConfigError(f"the schema is too big for a grammar: {matcher.get_error().strip().splitlines()[0]}")
        return np.unpackbits(bits, count=self.tokenizer.vocab_size, bitorder="little").view(bool)


def _of_object(held: Value, what: str) -> Value:
    if isinstance(held, bool):
        if not held:
            raise ConfigError(f"{what}: no value satisfies the schema")
        return {"type": "object"}
    names = held.get("type", "object")
    if "object" not in ([names] if isinstance(names, str) else names):
        raise ConfigError(f"{what}: the schema isn't of an object")
    return {"type": "object"} | held | {"type": "object"}


def _forbidden(schema: Any, endless: set[int]) -> Any:
    if isinstance(schema, list):
        return [_forbidden(inner, endless) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    copy: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in ("enum", "const"):
            copy[keyword] = value
        elif keyword == "anyOf":
            copy[keyword] = [_forbidden(inner, endless) for inner in value if id(inner) not in endless]
        elif keyword in ("properties", "patternProperties"):
            copy[keyword] = {n: id(v) not in endless and _forbidden(v, endless) for n, v in value.items()}
        elif keyword in ("items", "additionalProperties"):
            copy[keyword] = id(value) not in endless and _forbidden(value, endless)
        elif keyword == "$defs":
            copy[keyword] = {name: _forbidden(inner, endless) for name, inner in value.items()}
        else:
            copy[keyword] = _forbidden(value, endless)
    return copy


@dataclass(frozen=True)
class WayOut:
    """What ends a value: tokens that finish a begun character, and the text behind them."""

    tokenizer: K2Tokenizer
    character: list[int]
    text: str

    def tokens(self) -> list[int]:
        return self.character + self.tokenizer.encode(self.text)

    def fits(self, room: int) -> bool:
        """True for at most so many tokens."""
        return self.most() <= room or len(self.tokens()) <= room

    def most(self) -> int:
        """No fewer than its tokens, for less: a byte takes at most one."""
        return len(self.character) + len(self.text.encode())


class JsonWriter:
    """One value that a model writes under a grammar."""

    def __init__(self, grammars: JsonGrammars, grammar: JsonGrammar) -> None:
        self.grammar = grammar
        self._grammars = grammars
        self._matcher = grammar.matcher.deep_copy()
        self._pieces = grammars.tokenizer.token_bytes()
        self._written = bytearray()
        self._begun: Begun | None = None  # what is read of it
        self._in_string = self._escaped = False
        self._depth = 0

    def mask(self) -> np.ndarray:
        """As `JsonGrammars.mask`."""
        return self._grammars.mask(self._matcher)

    def at_end(self) -> bool:
        """True when the value may be at its end."""
        return self._matcher.is_stopped() or self._matcher.is_accepting()

    def in_plain_string(self) -> bool:
        """True inside a string (no key) that may hold any text."""
        if not self._in_string or self.grammar.patterned:
            return False
        text = self._written.decode("utf-8", "replace")
        frames = scan(text, self._begun).frames
        return not frames or frames[-1].state != "key"

    def too_deep(self) -> bool:
        """True when nothing more may be opened."""
        return self._depth >= MAX_DEPTH

    def accept(self, token: int) -> bool:
        """Moves on by a token; False for one that the grammar forbids."""
        if not self._matcher.consume_token(token):
            return False
        for byte in self._pieces[token]:
            if self._escaped:
                self._escaped = False
            elif byte == 0x22:
                self._in_string = not self._in_string
            elif self._in_string:
                self._escaped = byte == 0x5C
            else:
                self._depth += (byte in b"[{") - (byte in b"]}")
        self._written += self._pieces[token]
        return True

    def way_out(self, more: bytes = b"") -> WayOut | None:
        """The shortest end of the value, after some more bytes; None when there is no end."""
        written = bytes(self._written)
        start: list[int] = []
        try:
            self._begun = scan(written[: len(written) - _open_bytes(written)].decode(), self._begun)
        except ValueError:
            return None
        written += more
        if _open_bytes(written):
            matcher = self._matcher.deep_copy()
            single = self._grammars.single
            if more and not matcher.consume_tokens([single[byte] for byte in more]):
                return None
            while _open_bytes(written):
                allowed = self._grammars.mask(matcher)
                token = next((single[byte] for byte in range(0x80, 0xC0) if allowed[single[byte]]), None)
                if token is None or not matcher.consume_token(token):
                    return None
                start.append(token)
                written += self._pieces[token]
        try:
            text = written.decode()
            rest = self.grammar.completer.rest(text, scan(text, self._begun))
        except (ValueError, RecursionError):
            return None
        return None if rest is None else WayOut(self._grammars.tokenizer, start, rest)


def _open_bytes(written: bytes) -> int:
    """Bytes at the end that begin a character."""
    for count in range(1, min(4, len(written)) + 1):
        lead = written[-count]
        if lead >= 0xC0:
            length = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return count if count < length else 0
        if lead < 0x80:
            return 0
    return 0
