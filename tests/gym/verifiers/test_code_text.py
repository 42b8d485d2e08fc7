import pytest
from hypothesis import given
from hypothesis import strategies as st

from gym.verifiers.code_text import blocks, defines, program

USAGE = "print(add(1, 2))\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            "```python\ndef add(a, b):\n    return a + b\n```\nUse it so:\n```python\n" + USAGE + "```",
            "def add(a, b):\n    return a + b\n",
        ),
        ("```bash\npip install x\n```\n```python\nadd = sum\n```", "add = sum\n"),
        ("```python\nx = 1\n```\nthen\n```python\ny = 2\n```", "x = 1\n"),
        ("~~~python\ndef add(): pass\n~~~", "def add(): pass\n"),
        ("````md\n```python\ndef add(): pass\n```\n````", "```python\ndef add(): pass\n```\n"),
        ("```python\ndef add(): pass", "def add(): pass\n"),
        ("  ```python\n  def add(): pass\n  ```", "def add(): pass\n"),
        ("1. So:\n\n   ```python\n   def add():\n       return 1\n   ```\n", "def add():\n    return 1\n"),
        ("\t```python\n\tdef add():\n\t\treturn 1\n\t```", "def add():\n\treturn 1\n"),
        ("  ```python\ndef add(): pass\n  ```", "def add(): pass\n"),
        ("> ```python\n> def add():\n>     return 1\n> ```", "def add():\n    return 1\n"),
        ("Of\n```python\ndef add(a):\n```\nfollows\n```python\ndef add(a): return a\n```", "def add(a): return a\n"),
        ("```python\r\ndef add(): pass\r\n```\r\n", "def add(): pass\n"),
        ("```python\ndef add(): pass```", "def add(): pass"),
        (
            '```python\ndef add():\n    """\n    ```\n    add()\n    ```\n    """\n```',
            'def add():\n    """\n    ```\n    add()\n    ```\n    """\n',
        ),
        ("no fence", "no fence"),
        ("inline ``` is no fence", "inline ``` is no fence"),
    ],
)
def test_the_first_block_that_defines_the_function_is_the_program(text: str, code: str) -> None:
    assert program(text, "add") == code


def test_without_a_function_the_last_block_counts() -> None:
    assert program("a ```py is inline\n```py\nx\n```\nb\n```python\ny\n```") == "y\n"


@pytest.mark.parametrize(
    ("source", "right"),
    [
        ("def add(a): pass", True), ("    def add (a): pass", True), ("async def add(): pass", True),
        ("add = lambda: 1", True),
        ("add: Callable = f", True), ("def add_all(a): pass", False), ("x = add(1)", False), ("# def add(", False),
        ("if add == 1: pass", False), ("add(1) == 2", False), ("adder = 1", False), ("def a(add=1): pass", False),
    ],
)  # fmt: skip
def test_a_definition_is_told_from_a_mention(source: str, right: bool) -> None:
    assert defines(source, "add") is right


@given(st.one_of(st.text(), st.lists(st.sampled_from(["```", "\n", "~~~", "a", " ", "python", "> "])).map("".join)))
def test_any_text_has_blocks(text: str) -> None:
    assert isinstance(program(text, "f"), str)
    assert all(isinstance(block, str) for block in blocks(text))
