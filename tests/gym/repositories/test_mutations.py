"""Every kind of bug is one small edit that compiles and leaves the rest of the file alone."""

import sysconfig
from pathlib import Path

import pytest

from gym.repositories.mutations import KINDS, mutations
from gym.repositories.parsed import Source

# kind, a function, and every text that an edit of this kind makes of it
CASES = [
    (
        "blank_body",
        'def f(a):\n    """Doc."""\n    b = g(a)  # why\n    return b\n',
        ['def f(a):\n    """Doc."""\n    raise NotImplementedError\n'],
    ),
    (
        "wrong_variable",
        "def f(first, second):\n    return g( first )\n",
        ["def f(first, second):\n    return g( second )\n"],
    ),
    (
        "removed_assignment",
        "def f(a):\n    b = 1\n    b += a  # more\n    return b\n",
        ["def f(a):\n    b += a  # more\n    return b\n", "def f(a):\n    b = 1\n    return b\n"],
    ),
    ("swapped_arguments", "def f(a):\n    g(a,  (1, 2))\n", ["def f(a):\n    g((1, 2),  a)\n"]),
    ("comparison", "def f(a):\n    return (a)<  2\n", ["def f(a):\n    return (a)<=  2\n"]),
    (
        "reversed_comparison",
        "def f(a):\n    return a not  in B, a == 1\n",
        ["def f(a):\n    return a in B, a == 1\n", "def f(a):\n    return a not  in B, a != 1\n"],
    ),
    (
        "removed_branch",
        "def f(a):\n    if a:\n        g()\n    elif b:\n        h()\n    else:\n        k()\n    if c: d()\n",
        [
            "def f(a):\n    if a:\n        g()\n    else:\n        k()\n    if c: d()\n",
            "def f(a):\n    if a:\n        g()\n    elif b:\n        h()\n    else:\n        k()\n",
        ],
    ),
    (
        "removed_else",
        "def f(a):\n    for b in a:\n        g(b)\n    else:\n        h()\n    return 1\n",
        ["def f(a):\n    for b in a:\n        g(b)\n    return 1\n"],
    ),
    (
        "inverted_condition",
        "def f(a):\n    while a.b():\n        g(not a)\n",
        ["def f(a):\n    while not a.b():\n        g(not a)\n", "def f(a):\n    while a.b():\n        g(a)\n"],
    ),
    ("removed_call", "def f(a):\n    if a: a.g()\n    return a\n", ["def f(a):\n    if a: pass\n    return a\n"]),
    (
        "boolean",
        "def f(a):\n    return a and (\n        b and c == 'and')\n",
        [
            "def f(a):\n    return a or (\n        b and c == 'and')\n",
            "def f(a):\n    return a and (\n        b or c == 'and')\n",
        ],
    ),
    (
        "dropped_condition",
        "def f(a):\n    return (a) or (b  or c)\n",
        [
            "def f(a):\n    return (a)\n",
            "def f(a):\n    return (b  or c)\n",
            "def f(a):\n    return (a) or (b)\n",
            "def f(a):\n    return (a) or (c)\n",
        ],
    ),
    ("removed_conversion", "def f(a):\n    return list( a )\n", ["def f(a):\n    return a\n"]),
    (
        "changed_default",
        "def f(a, b=True, *, c = 3, d='x'):\n    return g(a, b, c, d)\n",
        [
            "def f(a, b=False, *, c = 3, d='x'):\n    return g(a, b, c, d)\n",
            "def f(a, b=True, *, c = 4, d='x'):\n    return g(a, b, c, d)\n",
        ],
    ),
    (
        "off_by_one",
        "def f(a):\n    return a[len(a):], 0\n",
        ["def f(a):\n    return a[len(a) + 1:], 0\n", "def f(a):\n    return a[len(a):], 1\n"],
    ),
    (
        "constant",
        'def f(a):\n    return g(a, ", ", True)\n',
        ['def f(a):\n    return g(a, ",", True)\n', 'def f(a):\n    return g(a, ", ", False)\n'],
    ),
    (
        "operator",
        "def f(a):\n    a += 'x' % a\n    return a//b\n",
        ["def f(a):\n    a -= 'x' % a\n    return a//b\n", "def f(a):\n    a += 'x' % a\n    return a/b\n"],
    ),
    (
        "removed_return",
        "def f(a):\n    if a:\n        return b\n    return c\n",
        ["def f(a):\n    if a:\n        pass\n    return c\n"],
    ),
    (
        "removed_raise",
        "def f(a):\n    if a:\n        b = 1\n        raise E(b)\n    return c\n",
        ["def f(a):\n    if a:\n        b = 1\n    return c\n"],
    ),
    (
        "dropped_argument",
        "def f(a):\n    return g((a), b=1, c = (2))\n",
        ["def f(a):\n    return g((a), c = (2))\n", "def f(a):\n    return g((a), b=1)\n"],
    ),
    (
        "swapped_values",
        "def f(a):\n    c = (a) if b else -1\n    return a,  c\n",
        [
            "def f(a):\n    c = (-1) if b else a\n    return a,  c\n",
            "def f(a):\n    c = (a) if b else -1\n    return c,  a\n",
        ],
    ),
    (
        "removed_handler",
        "def f(a):\n    try:\n        g()\n    except (A, B):\n        h()\n    except KeyError:\n        k()\n",
        [
            "def f(a):\n    try:\n        g()\n    except KeyError:\n        k()\n",
            "def f(a):\n    try:\n        g()\n    except A:\n        h()\n    except KeyError:\n        k()\n",
            "def f(a):\n    try:\n        g()\n    except B:\n        h()\n    except KeyError:\n        k()\n",
            "def f(a):\n    try:\n        g()\n    except (A, B):\n        h()\n",
            "def f(a):\n    try:\n        g()\n    except (A, B):\n        h()\n    except IndexError:\n        k()\n",
        ],
    ),
    (
        "removed_jump",
        "def f(a):\n    for b in a:\n        if b:\n            continue\n        g(b)\n        break\n",
        [
            "def f(a):\n    for b in a:\n        if b:\n            pass\n        g(b)\n        break\n",
            "def f(a):\n    for b in a:\n        if b:\n            continue\n        g(b)\n",
        ],
    ),
]


def made(text: str) -> list[tuple[str, str]]:
    source = Source("m.py", text.encode())
    return [
        (edit.kind, (source.content[: edit.start] + edit.new.encode() + source.content[edit.end :]).decode())
        for edit in mutations(source)
    ]


@pytest.mark.parametrize(("kind", "text", "expected"), CASES, ids=[case[0] for case in CASES])
def test_each_kind_makes_these_texts(kind: str, text: str, expected: list[str]) -> None:
    assert sorted(changed for one, changed in made(text) if one == kind) == sorted(expected)


def test_every_kind_has_a_case() -> None:
    assert sorted(case[0] for case in CASES) == sorted(KINDS)


@pytest.mark.parametrize(
    "text",
    [
        'def f(a):\n    """Returns 1 < 2."""\n',
        "@overload\ndef f(a=1):\n    return g(a)\n",
        "class C:\n    @abc.abstractmethod\n    def f(self, a=1):\n        return a + 1\n",
        "def f(a=1):\n    raise NotImplementedError\n",
        "if __name__ == '__main__':\n    def f(a):\n        return a + 1\n",
        "a = 1 + 2\nif a < 3:\n    a += 1\n",
        "class C:\n    a = 1\n    b = a and 2\n",
        "def f(a) -> Literal[1]:\n    return f'{a + 1}'\n",
    ],
)
def test_nothing_to_break(text: str) -> None:
    assert made(text) == []


def test_edits_belong_to_the_innermost_function_and_count_bytes() -> None:
    text = (
        "class C:\n    def f(self):\n        'é'\n        def g(b):\n            return 'é', b + 1\n        return g\n"
    )
    source = Source("m.py", text.encode())
    edit = next(edit for edit in mutations(source) if edit.kind == "operator")
    assert (edit.function, edit.line) == ("C.f.g", 5)
    assert source.content[edit.start : edit.end] == b"+"


def test_a_decorated_function_can_be_the_whole_body_that_is_blanked() -> None:
    text = "def f(a):\n    @a\n    def g(b):\n        return b\n    return g\n"
    assert ("blank_body", "def f(a):\n    raise NotImplementedError\n") in made(text)


def test_no_edit_removes_what_an_inner_function_refers_to() -> None:
    text = "def f():\n    n = 0\n    def g():\n        nonlocal n\n        n += 1\n        return n\n    return g\n"
    removed = [changed for kind, changed in made(text) if kind == "removed_assignment"]
    assert removed == ["def f():\n    n = 0\n    def g():\n        nonlocal n\n        return n\n    return g\n"]


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfa = 1\n", b"# coding: latin-1\na = 1\n"])
def test_a_file_in_another_encoding_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"m\.py"):
        Source("m.py", content)


@pytest.mark.parametrize("name", ["textwrap.py", "heapq.py", "shlex.py", "json/decoder.py", "sched.py"])
def test_edits_of_real_code_compile_and_lie_in_their_function(name: str) -> None:
    content = (Path(sysconfig.get_path("stdlib")) / name).read_bytes()
    source = Source(name, content)
    good = compile(content, name, "exec", dont_inherit=True)
    edits = mutations(source)
    assert len(edits) > 50
    assert len({(edit.start, edit.end, edit.new) for edit in edits}) == len(edits)
    for number, edit in enumerate(edits):
        assert edit.kind in KINDS
        assert content.count(b"\n", 0, edit.start) + 1 == edit.line
        nodes = [one.node for one in source.functions if one.name == edit.function]
        assert any(source.start(n) <= edit.start and edit.end <= source.offsets[n.end_lineno or 0] for n in nodes), edit
        if number % 11 == 0:  # the whole file takes much longer than its function
            changed = content[: edit.start] + edit.new.encode() + content[edit.end :]
            assert compile(changed, name, "exec", dont_inherit=True) != good, edit
