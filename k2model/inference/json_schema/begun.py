"""Reading a JSON text that isn't finished: which values are open, and what of them is written."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_WORD = re.compile(r"[^\s,\]}]*")


@dataclass
class Frame:
    """An open object or array.

    Attributes:
        start: where its text begins.
        state: `first` (nothing written), `key` (inside a key), `colon` (a key is written), `value` (inside a member or
            an item), `after` (behind one), `comma` (another one must come).
        members, items: the closed ones.
        key: of the member that `colon` and `value` are about.
    """

    start: int
    is_object: bool
    state: str = "first"
    members: dict[str, Any] = field(default_factory=dict)
    items: list[Any] = field(default_factory=list)
    key: str = ""

    def close(self, value: Any) -> None:
        """Takes in a member or an item that is whole."""
        self.state = "after"
        if self.is_object:
            self.members[self.key] = value
        else:
            self.items.append(value)

    def again(self, text: str, at: int) -> "Frame":
        """A copy as it was before the begun part of a text was looked at, which is there again with more behind it."""
        state = self.state
        if state == "key":
            state = "comma"
        elif state == "comma" and text[at : at + 1] == ",":
            state = "after"
        elif state == "comma" and not self.is_object and at < len(text):
            state = "value"
        return Frame(self.start, self.is_object, state, dict(self.members), list(self.items), self.key)


@dataclass(frozen=True)
class Begun:
    """A JSON text as far as it is written.

    Attributes:
        frames: the open values from the outermost.
        at: where the part begins that is begun inside the innermost: of a scalar (a number or word counts as begun up
            to the next sign), of a key with its quote, or of a separator.
        whole: the text is one whole value.
    """

    frames: list[Frame]
    at: int
    whole: bool = False


def scan(text: str, before: Begun | None = None) -> Begun:
    """Reads a text; `before` is what was read of its beginning."""
    at = 0 if before is None else before.at
    frames = [] if before is None else [frame.again(text, at) for frame in before.frames]
    if before is not None and before.whole:
        return before
    closed: Any
    while at < len(text):
        frame = frames[-1] if frames else None
        if frame is None or frame.state == "value" or (frame.state == "first" and not frame.is_object):
            if frame is not None and frame.state == "first" and text[at] == "]":
                at, closed = at + 1, frames.pop().items
            else:
                if frame is not None:
                    frame.state = "value"
                sign = text[at]
                if sign in "{[":
                    frames.append(Frame(at, sign == "{"))
                    at += 1
                    continue
                match = (_STRING if sign == '"' else _WORD).match(text, at)
                if match is None or (sign != '"' and match.end() == len(text)):
                    return Begun(frames, at)
                at, closed = match.end(), json.loads(match[0])
        elif frame.state in ("first", "comma") and text[at] == '"':
            match = _STRING.match(text, at)
            if match is None:
                frame.state = "key"
                return Begun(frames, at)
            frame.key, frame.state = json.loads(match[0]), "colon"
            at = match.end()
            continue
        elif frame.state == "colon":
            if at + 2 > len(text):
                return Begun(frames, at)
            at, frame.state = at + 2, "value"
            continue
        elif frame.state == "after" and text[at] == ",":
            frame.state = "comma"
            if at + 2 > len(text):
                return Begun(frames, at)
            at += 2
            if not frame.is_object and at < len(text):
                frame.state = "value"
            continue
        elif frame.state in ("first", "after") and text[at] == ("}" if frame.is_object else "]"):
            at += 1
            closed = frame.members if frame.is_object else frame.items
            frames.pop()
        else:
            raise ValueError(f"not the JSON of a grammar: {text[at : at + 20]!r}")
        if not frames:
            return Begun([], at, whole=True)
        frames[-1].close(closed)
    return Begun(frames, at)
