"""The program in an answer."""

import re
from collections.abc import Iterator

FENCE = re.compile(r"[ \t]*(?:>[ \t]*)?(```+|~~~+)[^\n`]*$")


def blocks(text: str) -> Iterator[str]:
    """The fenced blocks of a text in order; one that never closes goes to the end."""
    mark, lines = "", list[str]()
    for line in text.replace("\r\n", "\n").split("\n"):
        fence = FENCE.match(line)
        if not mark and fence is not None:
            mark, lines = fence.group(1), []
        elif mark and fence is not None and line.strip().startswith(mark) and not line.strip().strip(mark[0]):
            yield "".join(f"{held}\n" for held in lines)
            mark = ""
        elif mark:
            lines.append(line)
    if mark and any(line.strip() for line in lines):
        yield "".join(f"{held}\n" for held in lines)


def defines(source: str, function: str) -> bool:
    """Whether a program defines a function of that name, as a function or as a value."""
    name = re.escape(function)
    shapes = rf"(?:async[ \t]+)?def[ \t]+{name}[ \t]*\(|{name}[ \t]*(?::[^=\n]*)?=(?!=)"
    return re.search(rf"^[ \t]*(?:{shapes})", source, re.MULTILINE) is not None


def program(text: str, function: str | None = None) -> str:
    """The last fenced block, or the first that defines `function` (else the first at all); the text without any."""
    found = list(blocks(text))
    if not found:
        return text
    if function is None:
        return found[-1]
    return next((block for block in found if defines(block, function)), found[0])
