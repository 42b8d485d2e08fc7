"""Grammars of JSON values: compiled once for a schema, followed token by token, ended in the fewest tokens."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

from k2model.chat.tokenizer import K2Tokenizer
from k2model.errors import ConfigError
from k2model.inference.json_schema.begun import scan
from k2model.inference.json_schema.completion import Completer, SchemaTooBig
from k2model.inference.json_schema.schema import LEVELS, Schema, Value

# Separators as `json.dumps` writes them; white space is not the model's to choose.
STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
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
            held, unheld = schema.held(level)
            held = _of_object(held, what) if is_object else held
            try:
                completer = Completer(held, self._number_held)
                held, completer = self._pruned(held, completer)
                shortest = completer.shortest()
            except (SchemaTooBig, RecursionError):
                continue
            endless = shortest is None
            if shortest is not None:
                grammar = self._grammar(schema, held, completer, shortest, unheld)
                if grammar is not None:
                    return grammar
        if endless:
            raise ConfigError(f"{what}: no finite value satisfies the schema")
        held = _of_object({}, what) if is_object else True
        completer = Completer(held, self._number_held)
        grammar = self._grammar(schema, held, completer, completer.shortest() or "", ["/"])
        assert grammar is not None
        return grammar

    def _grammar(
        self, schema: Schema, held: Value, completer: Completer, shortest: str, unheld: list[str]
    ) -> JsonGrammar | None:
        matcher = self._matcher(held)
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

    def _matcher(self, schema: Value) -> LLMatcher:
        rule = schema | {"x-guidance": STYLE} if isinstance(schema, dict) else schema
        return LLMatcher(self._ll, LLMatcher.grammar_from_json_schema(json.dumps(rule)), log_level=0)

    def _number_held(self, schema: Value, text: str) -> bool:
        key = json.dumps(schema)
        if key not in self._numbers:
            self._numbers[key] = self._matcher(schema)
        matcher = self._numbers[key].deep_copy()
        return not matcher.is_error() and matcher.consume_tokens(self.tokenizer.encode(text)) and matcher.is_accepting()

    def _pruned(self, held: Value, completer: Completer) -> tuple[Value, Completer]:
        """Without the optional members, items and choices that have no finite value: begun, they would never end."""
        endless = [schema for schema in completer.inner(held) if not completer.finite(schema)]
        if not endless:
            return held, completer
        held = _forbidden(held, {id(schema) for schema in endless})
        return held, Completer(held, self._number_held)

    def mask(self, matcher: LLMatcher) -> np.ndarray:
        """Boolean [tokenizer vocabulary]: what may come next; the end of the turn where the value may be at its end."""
        only = np.zeros(self.tokenizer.vocab_size, dtype=bool)
        if matcher.is_stopped() and not matcher.is_error():
            only[self.tokenizer.im_end] = True
            return only
        bits = allocate_token_bitmask(1, self._ll.vocab_size)
        fill_next_token_bitmask(matcher, bits, 0)
        if matcher.is_error():
            raise ConfigError(f"the schema is too big for a grammar: {matcher.get_error().strip().splitlines()[0]}")
        return np.unpackbits(bits[0].view(np.uint8), bitorder="little")[: self.tokenizer.vocab_size].astype(bool)


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


class JsonWriter:
    """One value that a model writes under a grammar."""

    def __init__(self, grammars: JsonGrammars, grammar: JsonGrammar) -> None:
        self.grammar = grammar
        self._grammars = grammars
        self._matcher = grammar.matcher.deep_copy()
        self._pieces = grammars.tokenizer.token_bytes()
        self._written = bytearray()
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
        frames, _, _ = scan(self._written.decode("utf-8", "replace"))
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

    def way_out(self, more: bytes = b"") -> list[int] | None:
        """The fewest tokens that end the value, after some more bytes; None when there is no end."""
        written = bytes(self._written) + more
        begun = written[len(written) - _open_bytes(written) :]
        start: list[int] = []
        if begun:
            matcher = self._matcher.deep_copy()
            if more and not matcher.consume_tokens([self._pieces.index(bytes([byte])) for byte in more]):
                return None
            while _open_bytes(written):
                allowed = self._grammars.mask(matcher)
                token = next((i for i in self._continuing if allowed[i]), None)
                if token is None or not matcher.consume_token(token):
                    return None
                start.append(token)
                written += self._pieces[token]
        try:
            rest = self.grammar.completer.rest(written.decode())
        except (ValueError, RecursionError):
            return None
        return None if rest is None else start + self._grammars.tokenizer.encode(rest)

    @property
    def _continuing(self) -> list[int]:
        """Tokens that are one byte which goes on with a character."""
        return [self._pieces.index(bytes([byte])) for byte in range(0x80, 0xC0)]


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
