"""A function of a file as text, and the file with another text in its place: the unit that one answer can repair."""

import ast
import textwrap

from gym.repositories.parsed import Function, Source


def _span(source: Source, function: Function) -> tuple[int, int]:
    """Bytes from its first decorator to its end, whole lines."""
    first = min([function.node.lineno, *(one.lineno for one in function.node.decorator_list)])
    return source.offsets[first - 1], source.offsets[function.node.end_lineno or first]


def _named(source: Source, name: str) -> Function | None:
    """The last of that name, which is the one that counts."""
    return next((one for one in reversed(source.functions) if one.name == name), None)


def function_text(path: str, content: bytes, name: str) -> str | None:
    """A function without the indent of its place; None when there is none, or a text in it has less than its indent.

    Args:
        name: qualified, such as `Document.append`.
    """
    source = Source(path, content)
    function = _named(source, name)
    if function is None:
        return None
    start, end = _span(source, function)
    text = textwrap.dedent(content[start:end].decode())
    return None if text[0].isspace() else text


def with_function(path: str, content: bytes, name: str, text: str) -> bytes | None:
    """The file with `text`, which defines a function of the same name, in the place of the old one.

    None when the text is no Python, defines another name or more than one thing, or the file has no such function.
    """
    source = Source(path, content)
    function = _named(source, name)
    text = textwrap.dedent(text).strip("\n") + "\n"
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    made = body[0] if len(body) == 1 else None
    if function is None or not isinstance(made, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    if made.name != function.node.name:
        return None
    start, end = _span(source, function)
    indent = " " * function.node.col_offset
    return content[:start] + textwrap.indent(text, indent).encode() + content[end:]
