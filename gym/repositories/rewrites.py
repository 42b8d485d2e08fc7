"""Bugs written by a model: a function is rewritten with a mistake in it, and the same proof decides about it."""

import ast
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from gym.repositories.mutations import compiled
from gym.repositories.parsed import Function, FunctionNode, Source, first_line
from gym.repositories.task import Edit

KIND = "rewrite"
LINES = range(4, 61)  # of a function that is sent: shorter ones leave nothing to hide, longer ones are copied badly
_PROMPT = """Here is a function of `{path}`:

```python
{text}
```

Rewrite it with one subtle mistake, as a person makes it in a hurry: it still runs, and gives the right result for most
inputs. Ideas: a wrong edge case, a condition that forgets a value, steps in the wrong order, an argument that is not
passed on, a result that is changed in place. Keep the name, the arguments, the decorators and the docstring. Don't
mention the mistake, neither in names nor in comments.

Answer with the whole function in one block of Python and nothing else."""


def rewrites(complete: Callable[[str], str], sources: Mapping[str, Source], seed: int) -> Iterator[tuple[Edit, ...]]:
    """Candidates, one for each function at most, in an order drawn by the seed; an answer of no use gives none.

    Args:
        complete: a model's answer to a prompt.
        sources: code of a project by path.
    """
    functions = [
        (source, one)
        for _, source in sorted(sources.items())
        for one in source.functions
        if not one.stub and (one.node.end_lineno or 0) - one.node.lineno + 1 in LINES
    ]
    for place in np.random.default_rng([seed, 77_101]).permutation(len(functions)):
        source, function = functions[int(place)]
        answer = complete(_PROMPT.format(path=source.path, text=_text(source, function)))
        edit = rewritten(source, function, answer)
        if edit is not None:
            yield (edit,)


def _text(source: Source, function: Function) -> str:
    """The function without the indent of its place."""
    first, indent = first_line(function.node), function.node.col_offset
    strings = _in_strings(function)
    numbered = enumerate(source.lines[first - 1 : function.node.end_lineno], first)
    return (
        b"".join(line if number in strings or line[:indent].strip() else line[indent:] for number, line in numbered)
        .decode()
        .rstrip()
    )


def _in_strings(function: Function) -> set[int]:
    """Lines that begin inside a string, whose indent is part of the program; the docstring's own is not."""
    strings = [
        node
        for statement in function.body
        for node in ast.walk(statement)
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))
    ]
    return {line for node in strings for line in range(node.lineno + 1, (node.end_lineno or 0) + 1)}


def rewritten(source: Source, function: Function, answer: str) -> Edit | None:
    """The answer's function as an edit of the lines that differ.

    None when the answer holds no such function, changes more than its body, or compiles to the same program.
    """
    answered = _body(function, answer)
    first, last = function.body[0], function.body[-1]
    if answered is None or first.lineno == function.node.lineno:
        return None
    lines, depth = answered
    start, end = source.offsets[first_line(first) - 1], source.offsets[last.end_lineno or 0]
    old = source.content[start:end].decode().splitlines(keepends=True)
    indent = " " * first.col_offset
    new = [f"{indent}{line[depth:]}\n" if shifts else f"{line}\n" for line, shifts in lines]
    while old and new and old[0] == new[0]:
        start += len(old[0].encode())
        old, new = old[1:], new[1:]
    while old and new and old[-1] == new[-1]:
        end -= len(old[-1].encode())
        old, new = old[:-1], new[:-1]
    text = "".join(new)
    top = source.start(function.node)
    good = compiled(source, function, top, top, "")
    if compiled(source, function, start, end, text) in (None, good):
        return None
    line = source.content.count(b"\n", 0, start) + 1
    return Edit(source.path, start, end, text, KIND, function.name, line)


def _body(function: Function, answer: str) -> tuple[list[tuple[str, bool]], int] | None:
    """(lines of the answer's function after its docstring, and whether each shifts with the code; their indent)."""
    text = answer.split("```")[1].removeprefix("python") if answer.count("```") >= 2 else answer
    text = text.strip("\n") + "\n"
    try:
        found = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    node = found[0] if len(found) == 1 else None
    if (
        not isinstance(node, FunctionNode)
        or type(node) is not type(function.node)
        or _head(node) != _head(function.node)
    ):
        return None
    made = Function(node.name, node, node, node)
    if not made.body or made.body[0].lineno == node.lineno:
        return None
    strings, depth = _in_strings(made), made.body[0].col_offset
    numbered = enumerate(text.split("\n"), 1)
    lines = [(line, number not in strings and line[:depth].isspace()) for number, line in numbered]
    return lines[first_line(made.body[0]) - 1 : node.end_lineno], depth


def _head(node: FunctionNode) -> tuple[str, str, str | None, list[str]]:
    """What callers see of a function; annotations are free."""
    arguments = node.args
    names = [one.arg for one in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]
    starred = [one.arg if one else None for one in (arguments.vararg, arguments.kwarg)]
    defaults = [ast.dump(one) if one else None for one in [*arguments.defaults, *arguments.kw_defaults]]
    shape = [len(arguments.posonlyargs), len(arguments.args)]
    return (
        node.name,
        f"{shape} {names} {starred} {defaults}",
        ast.get_docstring(node),
        [ast.dump(one) for one in node.decorator_list],
    )
