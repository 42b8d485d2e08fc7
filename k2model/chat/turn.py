"""Reading an assistant's turn from its token ids, whole or token by token: the one reader of what a model wrote.

A marker is its own token, so text that merely spells one is text, and a call spelled in letters is no call.
"""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from k2model.chat.parse import (
    ARGUMENTS,
    CALL,
    END_CALL,
    END_SECTION,
    END_THINK,
    SECTION,
    THINK,
    Parsed,
    ParseError,
    Problem,
    ToolCall,
    read_call,
)
from k2model.chat.tokenizer import END_OF_TURN, K2Tokenizer


@dataclass(frozen=True)
class Delta:
    """New text of the reasoning or the content, a whole call, or what was malformed."""

    kind: Literal["reasoning", "content", "call", "error"]
    text: str = ""
    call: ToolCall | None = None
    error: ParseError | None = None


class TurnReader:
    """Feed the sampled ids, then `close`. Nothing is dropped: the deltas together hold all that was written.

    Args:
        markup: markers part the turn; without, everything is content and a marker is its name.
        stops: stop strings. They apply to the content alone (never to thinking, markers or a call), which ends before
            the first of them; what follows it is not part of the turn.

    Attributes:
        stopped: a stop string was met.
    """

    def __init__(self, tokenizer: K2Tokenizer, *, markup: bool = True, stops: Sequence[str] = ()) -> None:
        self._bytes = tokenizer.token_bytes()
        self._marks = tokenizer.names if markup else {}
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = StopStrings(stops)
        self._state = "start"  # start, reasoning, content, section, id, arguments
        self._id = self._arguments = ""

    @property
    def stopped(self) -> bool:
        return self._stops.stopped

    def feed(self, ids: Sequence[int]) -> list[Delta]:
        """The deltas of new ids."""
        deltas: list[Delta] = []
        for token in ids:
            mark = self._marks.get(token)
            if mark is None:
                piece = self._bytes[token] if token < len(self._bytes) else b"\xef\xbf\xbd"
                deltas += self._text(self._utf8.decode(piece))
            else:
                deltas += self._flush() + ([] if self.stopped else self._mark(mark))
            if self.stopped:
                break
        return deltas

    def close(self) -> list[Delta]:
        """What is still open at the end."""
        deltas = self._flush()
        if self._state == "reasoning":
            deltas.append(_error(Problem.OPEN_THINK, ""))
        if self._state in ("section", "id", "arguments"):
            deltas += self._open_call()
            deltas.append(_error(Problem.OPEN_SECTION, ""))
        self._state = "closed"
        return deltas

    def _flush(self) -> list[Delta]:
        """What was held back: the begun character of a cut text, and what could have begun a stop string."""
        deltas = self._text(self._utf8.decode(b"", final=True))
        held = self._stops.close()
        return [*deltas, Delta("content", held)] if held else deltas

    def _text(self, text: str) -> list[Delta]:
        if not text:
            return []
        if self._state == "id":
            self._id += text
        elif self._state == "arguments":
            self._arguments += text
        elif self._state == "section":
            return [_error(Problem.STRAY_TEXT, text)] if text.strip() else []
        elif self._state == "reasoning":
            return [Delta("reasoning", text)]
        else:
            self._state = "content"
            shown = self._stops.feed(text)
            return [Delta("content", shown)] if shown else []
        return []

    def _mark(self, mark: str) -> list[Delta]:
        before = self._state
        deltas: list[Delta] = []
        if mark in END_OF_TURN:
            return []
        if mark == THINK and before == "start":
            self._state = "reasoning"
        elif mark == END_THINK and before == "reasoning":
            self._state = "content"
        elif mark == SECTION and before in ("start", "content"):
            self._state = "section"
        elif mark == CALL and before in ("section", "id", "arguments"):
            deltas += self._open_call()
            self._state, self._id, self._arguments = "id", "", ""
        elif mark == ARGUMENTS and before == "id":
            self._state = "arguments"
        elif mark == END_CALL and before in ("id", "arguments"):
            deltas.append(self._call())
            self._state = "section"
        elif mark == END_SECTION and before in ("section", "id", "arguments"):
            deltas += self._open_call()
            self._state = "content"
        else:
            deltas.append(_error(Problem.STRAY_MARKER, mark))
        return deltas

    def _inside(self) -> str:
        return self._id + (ARGUMENTS + self._arguments if self._state == "arguments" else "")

    def _call(self) -> Delta:
        arguments = self._arguments if self._state == "arguments" else None
        read = read_call(self._id, arguments, self._inside())
        return Delta("call", call=read) if isinstance(read, ToolCall) else Delta("error", error=read)

    def _open_call(self) -> list[Delta]:
        return [_error(Problem.OPEN_CALL, self._inside())] if self._state in ("id", "arguments") else []


def _error(problem: Problem, text: str) -> Delta:
    return Delta("error", error=ParseError(problem, text))


def gather(deltas: Sequence[Delta]) -> Parsed:
    """The whole turn of its deltas."""
    parsed = Parsed()
    for delta in deltas:
        parsed.reasoning += delta.text if delta.kind == "reasoning" else ""
        parsed.content += delta.text if delta.kind == "content" else ""
        if delta.call is not None:
            parsed.tool_calls.append(delta.call)
        if delta.error is not None:
            parsed.errors.append(delta.error)
    return parsed


def parse_ids(tokenizer: K2Tokenizer, ids: Sequence[int], *, stops: Sequence[str] = ()) -> Parsed:
    """Reads the sampled ids of a turn, whole or cut anywhere; never raises. `stops`: as `TurnReader` takes them."""
    reader = TurnReader(tokenizer, stops=stops)
    return gather([*reader.feed(ids), *reader.close()])


class StopStrings:
    """Cuts text before the first stop string, holding back what may be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """Text that is certain to come before any stop string."""
        if self.stopped or not self._stops:
            return "" if self.stopped else text
        held = self._held + text
        starts = [start for stop in self._stops if (start := held.find(stop)) >= 0]
        if starts:
            self.stopped, self._held = True, ""
            return held[: min(starts)]
        begun = ((stop, n) for stop in self._stops for n in range(1, min(len(stop), len(held) + 1)))
        keep = max((n for stop, n in begun if held.endswith(stop[:n])), default=0)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def close(self) -> str:
        """What was held back."""
        held, self._held = self._held, ""
        return held
