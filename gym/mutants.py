"""Small bugs in C and JavaScript: one operator, number or truth value changed, outside of comments and texts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_OPERATOR = re.compile(
    r"<=|>=|===|!==|==|!=|&&|\|\||(?<![<=>-])[<>](?![<>=])|\+=|-=|(?<=[^,(=] )[-+*/%](?= )|\b\d+\b|\b(?:true|false)\b"
)
_OTHER = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "===": "!==", "!==": "===", "&&": "||",
    "||": "&&", "+": "-", "-": "+", "*": "+", "/": "*", "%": "/", "+=": "-=", "-=": "+=", "true": "false",
    "false": "true",
}  # fmt: skip
_TEXT = re.compile(
    r"//[^\n]*|/\*.*?\*/|^#[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`|(?P<slash>/)", re.DOTALL | re.M
)
_REGULAR = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/[a-z]*")
# What stands before an expression. After a closing bracket, a name or a number `/` divides.
_BEFORE_VALUE = re.compile(
    r"(?:^|[=(,:;!&|?{}\[+\-*%~^<>]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|new))\s*$"
)


@dataclass(frozen=True)
class Mutant:
    """The text from `start` to `end` replaced by `new`."""

    start: int
    end: int
    new: str

    def applied(self, source: str) -> str:
        return source[: self.start] + self.new + source[self.end :]


def code_only(source: str) -> str:
    """The source with blanks for its comments, strings, templates, regular expressions and lines of a preprocessor; as
    long as the source, with the same lines.
    """
    shown = list(source)

    def blank(start: int, end: int) -> int:
        shown[start:end] = [char if char == "\n" else " " for char in source[start:end]]
        return end

    position = 0
    while (found := _TEXT.search(source, position)) is not None:
        position = found.end()
        if found["slash"]:
            regular = _REGULAR.match(source, found.start())
            before = "".join(shown[max(0, found.start() - 200) : found.start()]).rstrip()
            if regular and _BEFORE_VALUE.search(before):
                position = blank(*regular.span())
        elif found.group() == "`":
            position = blank(found.start(), _template_end(source, found.end()))
        else:
            blank(*found.span())
    return "".join(shown)


def _template_end(source: str, start: int) -> int:
    """Where a template literal ends; templates in its `${…}` are part of it."""
    position, depth = start, 0
    while position < len(source):
        char = source[position]
        if char == "\\":
            position += 1
        elif char == "`":
            if depth == 0:
                return position + 1
            position = _template_end(source, position + 1) - 1
        elif source.startswith("${", position):
            depth += 1
            position += 1
        elif depth and char in "{}":
            depth += 1 if char == "{" else -1
        position += 1
    return position


def mutants(source: str, rng: np.random.Generator) -> Iterator[Mutant]:
    """Every place once, in random order."""
    places = list(_OPERATOR.finditer(code_only(source)))
    for number in rng.permutation(len(places)).tolist():
        match = places[number]
        yield Mutant(match.start(), match.end(), _OTHER.get(match.group()) or str(int(match.group()) + 1))
