"""The tools as an agent uses them: a thought, a call, and what came back goes into its notes."""

import json
import shlex
from collections.abc import Generator, Mapping
from typing import Any, TypeAlias, TypeVar

import numpy as np

from agents.coding.fixes import Change
from agents.coding.notes import Notes
from agents.coding.wording import Words
from k2model.chat.messages import call_id

T = TypeVar("T")
Call: TypeAlias = tuple[str, Mapping[str, Any]]
# Yields an assistant's message, takes the results of its calls.
Work: TypeAlias = Generator[dict[str, Any], list[str], T]


class Hands:
    """
    Args:
        shell: whether `bash` is a shell or starts Python alone.
        thinks: whether thoughts are written down.
    """

    def __init__(self, issue: str, words: Words, rng: np.random.Generator, *, shell: bool, thinks: bool) -> None:
        self.notes = Notes(issue)
        self.words, self.rng, self.shell, self.thinks = words, rng, shell, thinks
        self.remark = ""  # on the last result; said before the next thought

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def between(self, low: int, high: int) -> int:
        """A number from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def act(self, thought: str, *calls: Call) -> Work[list[str]]:
        """One step of one or more calls that don't wait for each other."""
        message = {
            "role": "assistant",
            "content": "",
            "reasoning_content": f"{self.remark} {thought}".strip() if self.thinks else "",
            "tool_calls": [
                {
                    "id": call_id(name, number),  # the loop numbers it
                    "type": "function",
                    "function": {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)},
                }
                for number, (name, arguments) in enumerate(calls)
            ],
        }
        self.remark = ""
        results = yield message
        for (name, arguments), result in zip(calls, results, strict=True):
            self.notes.read(name, arguments, result)
        return results

    def view(self, thought: str, path: str, first: int, last: int) -> Work[str]:
        asked = {"path": path, "start": max(1, first), "end": max(1, last)}
        return (yield from self.act(thought, ("view", asked)))[0]

    def search(self, thought: str, pattern: str, path: str = "") -> Work[str]:
        asked = {"pattern": pattern} | ({"path": path} if path else {})
        return (yield from self.act(thought, ("search_dir", asked)))[0]

    def bash(self, thought: str, command: str) -> Work[str]:
        return (yield from self.act(thought, ("bash", {"command": command})))[0]

    def edit(self, thought: str, change: Change) -> Work[bool]:
        """Whether it was made."""
        asked = {"path": change.path, "old_str": change.old, "new_str": change.new}
        (result,) = yield from self.act(thought, ("edit", asked))
        if result.startswith("error:"):
            return False
        self.notes.changed(change)
        return True


def tail(command: str, lines: int, *, shell: bool) -> str:
    """The command, and of its output the end alone where there is a shell."""
    return f"{command} 2>&1 | tail -n {lines}" if shell else command


def python(code: str, lines: int, *, shell: bool) -> str:
    """A command that runs code without a file; as `tail`."""
    if shell and "\n" in code:
        return f"python - <<'EOF' 2>&1 | tail -n {lines}\n{code}\nEOF"
    return tail(f"python -c {shlex.quote(code)}", lines, shell=shell)
