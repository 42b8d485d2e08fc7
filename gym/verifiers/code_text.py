"""The program in an answer."""

import ast
import re
from collections.abc import Iterator

FENCE = re.compile(r"([ \t]*(?:>[ \t]*)?)(```+|~~~+)([^\n`]*)$")
QUOTED = re.compile(r"[ \t]*> ?")
INDENT = 3  # blanks by which a closing fence may stand further in than its opening one


def blocks(text: str) -> Iterator[str]:
    """The fenced blocks of a text in order, without the indent or the quote mark of their fence (of a list, a quote);
    one that never closes goes to the end."""
    indent, mark, lines = "", "", list[str]()
    for line in text.replace("\r\n", "\n").split("\n"):
        fence = FENCE.match(line)
        if not mark:
            if fence is not None:
                indent, mark, lines = fence.group(1), fence.group(2), []
            continue
        closes = fence is not None and fence.group(2).startswith(mark) and not fence.group(3).strip()
        if closes and fence is not None and len(fence.group(1)) <= len(indent) + INDENT:
            yield "".join(f"{held}\n" for held in lines)
            mark = ""
        elif not closes and line.rstrip().endswith(mark):  # behind the last line of code
            yield "".join(f"{held}\n" for held in lines) + line.rstrip().removesuffix(mark)
            mark = ""
        else:
            lines.append(_unindented(line, indent))
    if mark and any(line.strip() for line in lines):
        yield "".join(f"{held}\n" for held in lines)


def _unindented(line: str, indent: str) -> str:
    """A line of a block whose fence stands behind `indent`, as Markdown reads it."""
    if ">" in indent:
        return QUOTED.sub("", line, count=1)
    blank = len(line) - len(line.lstrip())
    return line[min(blank, len(indent)) :]


def defines(source: str, function: str) -> bool:
    """Whether a program defines a function of that name, as a function or as a value."""
    name = re.escape(function)
    shapes = rf"(?:async[ \t]+)?def[ \t]+{name}[ \t]*\(|{name}[ \t]*(?::[^=\n]*)?=(?!=)"
    return re.search(rf"^[ \t]*(?:{shapes})", source, re.MULTILINE) is not None


def program(text: str, function: str | None = None) -> str:
    """The last fenced block, or the first that defines `function` and is Python (else the first that defines it, else
    the first at all); the text without any."""
    fenced = list(blocks(text))
    if not fenced:
        return text
    if function is None:
        return fenced[-1]
    defining = [block for block in fenced if defines(block, function)]
    return next(filter(_is_python, defining), (defining or fenced)[0])


def _is_python(source: str) -> bool:
    """False for a signature that is quoted without its body, among others."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
