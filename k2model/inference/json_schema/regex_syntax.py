"""Reading regular expressions of JSON schemas.

The dialect is what JSON schemas use and llguidance reads alike: literals, classes, `\\d \\w \\s` (ASCII letters and
digits), groups, alternatives, repetitions, `^` and `$`. Look-around, back references and word boundaries are refused.
"""

import sys
import unicodedata
from functools import lru_cache
from typing import Any

Ranges = tuple[tuple[int, int], ...]
TOP = sys.maxunicode
MAX_DIGITS = 6  # of a count of repetitions
NEWLINE = ((10, 10),)
DIGIT = ((48, 57),)
WORD = ((48, 57), (65, 90), (95, 95), (97, 122))
SPACE: Ranges = ((9, 13), (32, 32), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029))
SPACE += ((0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000))
ESCAPES = {"n": 10, "r": 13, "t": 9, "f": 12, "v": 11, "0": 0}
# ("set", ranges), ("at", "^" or "$"), ("cat", parts), ("or", parts), ("repeat", part, least, most or None)
Tree = tuple[Any, ...]


class PatternError(ValueError):
    """A regular expression that isn't of the dialect, or too big an automaton."""


def parse(regex: str) -> Tree:
    """The tree of an expression.

    Raises:
        PatternError: not of the dialect.
    """
    try:
        return _Parser(regex).whole()
    except RecursionError:
        raise PatternError("a pattern nested too deep") from None


class _Parser:
    def __init__(self, regex: str) -> None:
        self._text, self._at = regex, 0
        self._ignore_case = self._dot_all = False

    def whole(self) -> Tree:
        tree = self._choice()
        if self._at < len(self._text):
            raise PatternError(f"unmatched ) in {self._text!r}")
        return tree

    def _choice(self) -> Tree:
        parts = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            parts.append(self._sequence())
        return ("or", parts) if len(parts) > 1 else parts[0]

    def _sequence(self) -> Tree:
        parts = []
        while self._at < len(self._text) and self._peek() not in ("|", ")"):
            parts.append(self._repeated(self._atom()))
        return ("cat", parts)

    def _peek(self, count: int = 1) -> str:
        return self._text[self._at : self._at + count]

    def _take(self, count: int = 1) -> str:
        piece = self._peek(count)
        if len(piece) < count:
            raise PatternError(f"{self._text!r} ends early")
        self._at += count
        return piece

    def _repeated(self, atom: Tree) -> Tree:
        while (sign := self._peek()) in ("*", "+", "?", "{") and sign:
            if sign == "{":
                end = self._text.find("}", self._at)
                least, comma, most = self._text[self._at + 1 : max(end, 0)].partition(",")
                if not least.isdecimal() or not (most == "" or most.isdecimal()):
                    raise PatternError(f"{{ in {self._text!r}")
                if max(len(least), len(most)) > MAX_DIGITS:
                    raise PatternError(f"a repetition of {self._text!r}")
                self._at = end + 1
                high = (int(most) if most else None) if comma else int(least)
                if high is not None and high < int(least):
                    raise PatternError(f"a repetition of {self._text!r}")
                atom = ("repeat", atom, int(least), high)
            else:
                self._at += 1
                atom = ("repeat", atom, *{"*": (0, None), "+": (1, None), "?": (0, 1)}[sign])
            if self._peek() == "?":
                self._at += 1  # lazy: the same language
            elif self._peek() == "+":
                raise PatternError(f"a possessive repetition in {self._text!r}")
        return atom

    def _atom(self) -> Tree:
        sign = self._take()
        if sign in "^$":
            return ("at", sign)
        if sign == "(":
            return self._group()
        if sign == "[":
            return ("set", self._cased(self._class()))
        if sign == ".":
            return ("set", ((0, TOP),) if self._dot_all else _without(NEWLINE))
        if sign == "\\":
            return ("set", self._cased(self._escape()))
        if sign in "*+?{":
            raise PatternError(f"nothing to repeat in {self._text!r}")
        return ("set", self._cased(((ord(sign), ord(sign)),)))

    def _group(self) -> Tree:
        if self._peek() == "?":
            for opening in ("?:", "?P<", "?<"):
                if self._peek(len(opening)) == opening and self._text[self._at + 2 : self._at + 3] not in ("=", "!"):
                    self._take(len(opening))
                    if opening != "?:":
                        while self._take() != ">":
                            pass
                    break
            else:
                flags, closed, _ = self._text[self._at + 1 :].partition(")")
                if not closed or not flags or set(flags) - set("isu") or self._at != 1:
                    raise PatternError(f"look-around or flags in {self._text!r}")
                self._at += len(flags) + 2
                self._ignore_case, self._dot_all = "i" in flags, "s" in flags
                return ("cat", [])
        tree = self._choice()
        if self._take() != ")":
            raise PatternError(f"an open ( in {self._text!r}")
        return tree

    def _escape(self) -> Ranges:
        sign = self._take()
        if sign in "dws":
            return {"d": DIGIT, "w": WORD, "s": SPACE}[sign]
        if sign in "DWS":
            return _without({"D": DIGIT, "W": WORD, "S": SPACE}[sign])
        if sign in "pP":
            name = self._take()
            if name == "{":
                name = self._text[self._at :].partition("}")[0]
                self._take(len(name) + 1)
            ranges = _category(name)
            return ranges if sign == "p" else _without(ranges)
        if sign in "xu":
            code = self._take(2 if sign == "x" else 4) if self._peek() != "{" else ""
            if not code:
                code = self._text[self._at + 1 :].partition("}")[0]
                self._take(len(code) + 2)
            try:
                number = int(code, 16)
            except ValueError:
                raise PatternError(f"\\{sign}{code} in {self._text!r}") from None
            return ((number, number),)
        if sign in ESCAPES and not (sign == "0" and self._peek().isdecimal()):
            return ((ESCAPES[sign], ESCAPES[sign]),)
        if sign.isalnum():
            raise PatternError(f"\\{sign} in {self._text!r}")
        return ((ord(sign), ord(sign)),)

    def _class(self) -> Ranges:
        negated = self._peek() == "^"
        self._at += negated
        ranges: list[tuple[int, int]] = []
        first = True
        while (sign := self._take()) != "]" or first:
            first = False
            if sign == "[" or self._peek(2) in ("&&", "--", "~~") or (sign == "]" and not ranges):
                raise PatternError(f"a class in {self._text!r}")
            low = self._escape() if sign == "\\" else ((ord(sign), ord(sign)),)
            if self._peek() == "-" and self._peek(2) != "-]" and len(low) == 1 and low[0][0] == low[0][1]:
                self._at += 1
                sign = self._take()
                high = self._escape() if sign == "\\" else ((ord(sign), ord(sign)),)
                if len(high) != 1 or high[0][0] != high[0][1] or high[0][0] < low[0][0]:
                    raise PatternError(f"a range in {self._text!r}")
                low = ((low[0][0], high[0][0]),)
            ranges += low
        return _without(tuple(ranges)) if negated else tuple(sorted(ranges))

    def _cased(self, ranges: Ranges) -> Ranges:
        if not self._ignore_case:
            return ranges
        both = list(ranges)
        for low, high in ranges:
            for first, last, shift in ((65, 90, 32), (97, 122, -32)):
                if low <= last and high >= first:
                    both.append((max(low, first) + shift, min(high, last) + shift))
        return tuple(sorted(both))


def _without(ranges: Ranges) -> Ranges:
    left, rest = 0, []
    for low, high in sorted(ranges):
        if low > left:
            rest.append((left, low - 1))
        left = max(left, high + 1)
    return (*rest, (left, TOP)) if left <= TOP else tuple(rest)


@lru_cache(maxsize=64)
def _category(name: str) -> Ranges:
    ranges: list[tuple[int, int]] = []
    for code in range(TOP + 1):
        if unicodedata.category(chr(code)).startswith(name):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1] = (ranges[-1][0], code)
            else:
                ranges.append((code, code))
    if not ranges or len(name) > 2:
        raise PatternError(f"\\p{{{name}}}")
    return tuple(ranges)
