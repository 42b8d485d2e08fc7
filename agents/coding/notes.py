"""What a coding agent has read so far: nothing else may it name, quote or open."""

import re
from collections.abc import Mapping
from typing import Any

from agents.coding.fixes import Change

_VIEWED = re.compile(r"^(\d+)\t(.*)$", re.MULTILINE)
_FOUND = re.compile(r"^(\S+?):(\d+): ", re.MULTILINE)
_FRAME = re.compile(r'^  File "/workspace/(\S+?)", line (\d+), in (\S+)$|^(\S+?\.py):(\d+): in (\S+)$', re.MULTILINE)


class Notes:
    """Read in the order of the conversation.

    Attributes:
        lines: text by path and line, of what was viewed, as the files are now.
        places: (path, line) that a search found.
        words: every word that stood in the issue or in a result.
    """

    def __init__(self, issue: str) -> None:
        self.texts = [issue]
        self.issue = issue
        self.lines: dict[str, dict[int, str]] = {}
        self.places: set[tuple[str, int]] = set()
        self.words: set[str] = set(re.findall(r"\w+", issue))

    def read(self, name: str, arguments: Mapping[str, Any], result: str) -> None:
        """Takes in what a tool returned."""
        self.texts.append(result)
        self.words.update(re.findall(r"\w+", result))
        if name == "view":
            self.lines.setdefault(str(arguments["path"]), {}).update(
                {int(number): text for number, text in _VIEWED.findall(result)}
            )
        elif name == "search_dir":
            self.places.update((path, int(line)) for path, line in _FOUND.findall(result))

    def changed(self, change: Change) -> None:
        """Moves what is known of a file behind an edit; the new lines are known too."""
        new = change.new.split("\n")
        by = len(new) - (change.last - change.first + 1)
        kept = self.lines.get(change.path, {})
        moved = {line + by if line > change.last else line: text for line, text in kept.items()}
        self.lines[change.path] = moved | {change.first + k: text for k, text in enumerate(new)}
        self.places = {
            (path, line + by if path == change.path and line > change.last else line) for path, line in self.places
        }

    def sees(self, path: str, lines: range) -> bool:
        """Whether all these lines were viewed."""
        seen = self.lines.get(path, {})
        return all(line in seen for line in lines)

    def knows_path(self, path: str) -> bool:
        return any(path in text for text in self.texts)

    def shows(self, path: str, lines: range, word: str) -> bool:
        """Whether a word stands in what was viewed of these lines."""
        seen = self.lines.get(path, {})
        return any(re.search(rf"\b{re.escape(word)}\b", seen[line]) for line in lines if line in seen)


def frames(result: str) -> list[tuple[str, int, str]]:
    """(path, line, function) of the tracebacks in a result, outermost first."""
    found = []
    for match in _FRAME.finditer(result):
        path, line, function = match.groups()[:3] if match[1] else match.groups()[3:]
        found.append((path, int(line), function))
    return found
