"""One assistant turn under a grammar: which tokens may come next, and what of them the budget leaves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from k2model.chat.parse import ARGUMENTS, CALL, END_CALL, END_SECTION, END_THINK, SECTION, THINK
from k2model.chat.tokenizer import K2Tokenizer
from k2model.errors import ConfigError
from k2model.inference.json_grammar import JsonGrammar, JsonGrammars, JsonWriter

MAX_WEIGHED = 64  # tokens whose ways out are computed one by one


class TurnRules:
    """What all turns of a tokenizer share: masks of whole kinds of tokens, and the tokens by their bytes."""

    def __init__(self, tokenizer: K2Tokenizer, vocab_size: int) -> None:
        self.tokenizer, self.vocab_size = tokenizer, vocab_size
        self.pieces = tokenizer.token_bytes()
        self.mark = tokenizer.special
        added = set(tokenizer.backend.get_added_tokens_decoder())
        self.text = np.array([i not in added for i in range(len(self.pieces))])
        self.plain = np.array([i not in added and _is_plain(piece) for i, piece in enumerate(self.pieces)])
        self.by_bytes = {piece: i for i, piece in enumerate(self.pieces) if self.text[i]}
        self.longest = max(map(len, self.by_bytes))

    def none(self) -> np.ndarray:
        return np.zeros(len(self.pieces), dtype=bool)

    def tensor(self, mask: np.ndarray) -> Tensor:
        """Boolean [vocabulary of the model]."""
        wide = np.zeros(self.vocab_size, dtype=bool)
        wide[: len(mask)] = mask
        return torch.from_numpy(wide)

    def tokens(self, text: bytes) -> int:
        """How many tokens a text takes."""
        return len(self.tokenizer.encode(text.decode()))


def _is_plain(piece: bytes) -> bool:
    """True for bytes that stay inside a JSON string and leave no character begun."""
    try:
        return '"' not in (text := piece.decode()) and "\\" not in text and text.isprintable() and text != ""
    except UnicodeDecodeError:
        return False


@dataclass(frozen=True)
class CallableTool:
    """A tool that may be called: `prefix` is its call id up to the number."""

    name: str
    prefix: bytes
    grammar: JsonGrammar


class TurnConstraint:
    """A `generate.Constraint`; the turn ends with `<|im_end|>`, or at the budget inside free text.

    Args:
        tools: may be called, none in an empty list.
        max_tokens: budget of the turn; `budget_field` names it in errors.
        must_call: the turn holds at least one call.
        content: the content is JSON of this grammar, free text without.
        first_index: number of the first call.
        parallel: more than one call.

    Raises:
        ConfigError: the budget is below the shortest turn that must be.
    """

    def __init__(
        self,
        rules: TurnRules,
        grammars: JsonGrammars,
        tools: Sequence[CallableTool],
        *,
        max_tokens: int,
        budget_field: str,
        must_call: bool,
        content: JsonGrammar | None,
        first_index: int,
        parallel: bool,
    ) -> None:
        self._rules, self._grammars, self._mark = rules, grammars, rules.mark
        self._left = max_tokens
        self._must_call, self._parallel = must_call, parallel
        self._index, self._calls = first_index, 0
        self._state = "start"  # start, think, text, content, section, id, arguments, end, ended
        self._writer = JsonWriter(grammars, content) if content is not None else None
        self._forced = False
        self._path: list[int] = []  # the only way out that is left
        self._look_at = max_tokens
        self._tools = tools
        self._id = b""
        # A tool whose shortest call never fits isn't offered.
        self._cheapest = min((self._call_cost(tool) for tool in tools), default=0)
        self._needed = 2 + self._cheapest + 3 if must_call else len(content.shortest) + 1 if content is not None else 0
        if self._needed > max_tokens:
            least = min(tools, key=self._call_cost).name if must_call else ""
            shortest = f"call of {least!r}" if must_call else "content of response_format's schema"
            raise ConfigError(f"{budget_field}: {max_tokens} is below the {self._needed} of the shortest {shortest}")
        # Thinking and text before what must come leave room for more than the shortest.
        self._reserved = max(self._needed, min(max_tokens // 2, 4 * self._needed))

    def allowed(self) -> Tensor:
        """Boolean [vocabulary of the model]."""
        if self._path:
            mask = self._rules.none()
            mask[self._path[0]] = True
            self._forced = self._forced or int(self._free().sum()) > 1
            return self._rules.tensor(mask)
        mask = self._free()
        if self._state in ("start", "think", "text"):
            mask = self._within_text(mask)
        elif self._state == "section":
            mask = self._within_section(mask)
        elif self._state in ("arguments", "content"):
            mask = self._within_value(mask)
        if not mask.any():
            raise ConfigError("the grammar allows no token here")  # sampling from nothing would give NaN
        return self._rules.tensor(mask)

    def accept(self, token: int) -> None:
        """Moves on by a token. Raises ConfigError for one that the grammar forbids."""
        if not (0 <= token < len(self._rules.pieces) and self._move(token)):
            raise ConfigError(f"token {token} is not allowed here")
        if self._path:
            self._path = self._path[1:] if self._path[0] == token else []
        self._left -= 1

    def finished(self) -> bool:
        """True once the end of the turn was accepted."""
        return self._state == "ended"

    def forced(self) -> bool:
        """True once the budget kept the model from what the grammar allows, and so ended the turn."""
        return self._forced

    # The grammar without the budget.

    def _free(self) -> np.ndarray:
        mark, state = self._mark, self._state
        if state in ("start", "think", "text"):
            if state == "think":
                mask = self._rules.text.copy()
                mask[mark[END_THINK]] = True
                return mask
            if self._writer is not None:
                mask = self._writer.mask()
                mask[mark["<|im_end|>"]] = False
            else:
                mask = self._rules.text.copy()
                mask[mark["<|im_end|>"]] = not self._must_call
            mask[mark[THINK]] = state == "start"
            mask[mark[SECTION]] = bool(self._tools)
            return mask
        mask = self._rules.none()
        if state == "section":
            mask[mark[CALL]] = self._calls == 0 or self._parallel
            mask[mark[END_SECTION]] = self._calls > 0
        elif state == "id":
            return self._id_mask()
        elif state in ("arguments", "content"):
            assert self._writer is not None
            mask = self._writer.mask()
            if state == "arguments" and mask[mark["<|im_end|>"]]:
                mask[mark["<|im_end|>"]], mask[mark[END_CALL]] = False, True
        else:
            mask[mark["<|im_end|>"]] = True
        return mask

    def _move(self, token: int) -> bool:
        """Takes a token; False for one that is not allowed."""
        mark, state = self._mark, self._state
        name = self._rules.tokenizer.names.get(token, "")
        if state in ("start", "think", "text", "section", "id", "end", "ended") and not self._free()[token]:
            return False
        if state in ("start", "text") and name == "" and self._writer is not None:
            self._state = "content"
            return self._writer.accept(token)
        if state in ("arguments", "content"):
            return self._move_in_value(token, name)
        if state == "id" and token != mark[ARGUMENTS]:
            self._id += self._rules.pieces[token]
        elif state == "id":
            grammar = next(tool.grammar for tool in self._tools if self._whole_id(tool) == self._id)
            self._writer, self._state, self._look_at = JsonWriter(self._grammars, grammar), "arguments", self._left
        elif name == END_THINK:
            self._state = "text"
        else:
            states = {THINK: "think", SECTION: "section", CALL: "id", END_SECTION: "end", "<|im_end|>": "ended"}
            self._state = states.get(name, "text" if state == "start" else state)
            self._id = b"" if name == CALL else self._id
        return True

    def _move_in_value(self, token: int, name: str) -> bool:
        assert self._writer is not None
        if name == (END_CALL if self._state == "arguments" else "<|im_end|>"):
            if not self._writer.at_end():
                return False
            self._calls += self._state == "arguments"
            self._state = "section" if self._state == "arguments" else "ended"
            return True
        return name == "" and self._writer.accept(token)

    # Call ids.

    def _whole_id(self, tool: CallableTool) -> bytes:
        return tool.prefix + str(self._index + self._calls).encode()

    def _call_cost(self, tool: CallableTool, written: bytes = b"") -> int:
        """Tokens from a begun id to the end of the shortest arguments."""
        return self._rules.tokens(self._whole_id(tool)[len(written) :]) + 1 + len(tool.grammar.shortest)

    def _id_mask(self) -> np.ndarray:
        """Tokens that go on with an id of a tool whose shortest call fits."""
        mask = self._rules.none()
        room = self._left - 1 - 3  # after this token, the end of call, section and turn
        for tool in self._tools:
            whole = self._whole_id(tool)
            if not whole.startswith(self._id):
                continue
            rest = whole[len(self._id) :]
            if not rest:
                mask[self._mark[ARGUMENTS]] |= len(tool.grammar.shortest) <= room
            for length in range(1, min(len(rest), self._rules.longest) + 1):
                token = self._rules.by_bytes.get(rest[:length])
                if token is not None and not mask[token]:
                    # A byte takes at most a token; only where that might not fit it is counted.
                    left = len(rest) - length + 1 + len(tool.grammar.shortest)
                    mask[token] = left <= room or self._id_cost(rest[length:], tool) <= room
        return mask

    def _id_cost(self, rest: bytes, tool: CallableTool) -> int:
        try:
            return self._rules.tokens(rest) + 1 + len(tool.grammar.shortest)
        except UnicodeDecodeError:
            return len(rest) + 1 + len(tool.grammar.shortest)

    # What the budget leaves.

    def _within_text(self, mask: np.ndarray) -> np.ndarray:
        mark = self._mark
        if self._tools and not self._must_call and mask[mark[SECTION]]:
            mask[mark[SECTION]] = self._left >= 2 + self._cheapest + 3
        if not self._needed:
            return mask
        after = self._left - 1
        if self._state == "think":
            if after < self._reserved + 1:
                self._forced = True
                mask = self._rules.none()
                mask[mark[END_THINK]] = True
            return mask
        mask[mark[THINK]] &= after >= self._reserved + 1
        if self._writer is not None:
            value = self._within_value(mask & self._rules.text)
            return value if self._path else value | (mask & ~self._rules.text)
        if after < self._reserved:
            self._forced = True
            mask = self._rules.none()
            mask[mark[SECTION]] = True
        return mask

    def _within_section(self, mask: np.ndarray) -> np.ndarray:
        if mask[self._mark[CALL]] and self._calls:
            fits = self._left >= 1 + self._cheapest + 3 + 2  # the number of a later call has more digits
            mask[self._mark[CALL]] = fits
            self._forced = self._forced or not fits
        return mask

    def _within_value(self, mask: np.ndarray) -> np.ndarray:
        writer = self._writer
        assert writer is not None
        if self._left > self._look_at and not writer.too_deep():
            return mask
        end, growth = writer.way_out(), writer.grammar.growth
        if end is None:
            return mask
        spare = self._left - end.most() - len(self._turn_end())
        if spare <= growth + 1 or writer.too_deep():
            way = end.tokens() + self._turn_end()
            spare = self._left - len(way)
            if not mask[way[0]]:
                return mask
        if spare > growth + 1 and not writer.too_deep():
            # k tokens on, the way out is at most k · growth longer and k tokens fewer are left.
            self._look_at = self._left - max(1, (spare - growth - 1) // (growth + 1))
            return mask
        self._look_at = self._left
        if spare <= 0 or writer.too_deep():
            self._path = way
            return self._only(mask, way[0])
        if int(mask.sum()) > MAX_WEIGHED and writer.in_plain_string():
            # Inside a string a plain piece doesn't lengthen the way out.
            plain = mask & self._rules.plain
            plain[way[0]] = True
            return plain
        return self._weighed(mask, way)

    def _weighed(self, mask: np.ndarray, way: list[int]) -> np.ndarray:
        """The tokens after which the way out still fits."""
        assert self._writer is not None
        tokens = np.flatnonzero(mask)
        if len(tokens) > MAX_WEIGHED:
            return self._only(mask, way[0])
        kept = self._rules.none()
        kept[way[0]] = True
        room = self._left - 1 - len(self._turn_end())
        for token in tokens:
            if token != way[0]:
                end = self._writer.way_out(self._rules.pieces[token])
                kept[token] = end is not None and end.fits(room)
        self._forced = self._forced or int(kept.sum()) < len(tokens)
        return kept

    def _only(self, mask: np.ndarray, token: int) -> np.ndarray:
        self._forced = self._forced or int(mask.sum()) > 1
        only = self._rules.none()
        only[token] = True
        return only

    def _turn_end(self) -> list[int]:
        """What ends the turn behind a value."""
        names = (END_CALL, END_SECTION, "<|im_end|>") if self._state == "arguments" else ("<|im_end|>",)
        return [self._mark[name] for name in names]
