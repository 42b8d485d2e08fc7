"""A model's answer becomes an edit of the lines that differ, or nothing."""

import pytest

from gym.repositories.parsed import Source
from gym.repositories.rewrites import KIND, rewrites, rewritten
from gym.repositories.task import apply_edits

TEXT = '''class Row:
    @property
    def widest(self, least: int = 0):
        """The widest box.

        Or the least width.
        """
        found = least
        for box in self.boxes:
            # of all
            if box.width > found:
                found = box.width

        text = """
 half
    in
"""
        return found, text


def short():
    return 1
'''
SOURCE = Source("row.py", TEXT.encode())
FUNCTION = SOURCE.functions[0]
GOOD = '''@property
def widest(self, least=0):
    """The widest box.

    Or the least width.
    """
    found = least
    for box in self.boxes:
        # of all
        if box.width > found:
            found = box.width

    text = """
 half
    in
"""
    return found, text
'''


def test_only_the_lines_that_differ_change() -> None:
    answer = f"Sure:\n```python\n{GOOD.replace('> found', '>= found')}```\nDone."
    edit = rewritten(SOURCE, FUNCTION, answer)
    assert edit is not None
    assert (edit.kind, edit.function, edit.line) == (KIND, "Row.widest", 11)
    assert apply_edits({"row.py": SOURCE.content}, (edit,))["row.py"].decode() == TEXT.replace("> found", ">= found")


@pytest.mark.parametrize(
    "answer",
    [
        "I can't do that.",
        "```python\ndef widest(self\n```",
        GOOD,  # no mistake in it
        GOOD.replace("# of all", "# of every one"),
        GOOD.replace("> found", ">= found").replace("least=0", "least=1"),
        GOOD.replace("> found", ">= found").replace("def widest", "def widest_of"),
        GOOD.replace("> found", ">= found").replace("@property\n", ""),
        GOOD.replace("> found", ">= found").replace("Or the", "Not the"),
        GOOD.replace("> found", ">= found") + "\n\nwidest(1)\n",
        '@property\ndef widest(self, least=0):\n    """The widest box.\n\n    Or the least width.\n    """\n',
    ],
)
def test_answers_of_no_use(answer: str) -> None:
    assert rewritten(SOURCE, FUNCTION, answer) is None


def test_each_function_is_asked_for_once_and_its_text_has_no_indent() -> None:
    asked = []

    def complete(prompt: str) -> str:
        asked.append(prompt)
        return GOOD.replace("> found", "< found")

    [(edit,)] = rewrites(complete, {"row.py": SOURCE}, seed=1)
    assert len(asked) == 1
    assert '\n@property\ndef widest(self, least: int = 0):\n    """The widest' in asked[0]
    assert edit.new.strip() == "if box.width < found:"
