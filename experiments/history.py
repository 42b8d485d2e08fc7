"""What git knows of a rule and a run: the commit at which a claim's rule was last changed, and which came first."""

import re
import subprocess
from functools import reduce
from pathlib import Path

RULE = ("metric", "by", "direction", "threshold", "refuted", "reaches", "also", "unless", "size", "seeds", "rule")
RULE_COMMIT = "rule_commit"
OPEN = "0" * 40  # what git blame says of a line that is not committed


def git(root: Path, *args: str) -> tuple[int, str]:
    """Exit status and output; 127 where there is no git."""
    try:
        done = subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return 127, ""
    return done.returncode, done.stdout


def blame(root: Path, path: Path) -> list[tuple[str, str]]:
    """(commit that changed it last, text) of every line of a file; none without a history of it."""
    status, text = git(root, "blame", "--line-porcelain", "--", path.as_posix())
    found: list[tuple[str, str]] = []
    commit = ""
    for line in text.splitlines() if status == 0 else ():
        if head := re.match(r"([0-9a-f]{40}) \d+ \d+", line):
            commit = head[1]
        elif line.startswith("\t"):
            found.append((commit, line[1:]))
    return found


def _holds(root: Path, older: str, newer: str) -> bool:
    """Whether the newer commit is the older one or comes after it; what is not committed comes after everything."""
    if newer in (OPEN, older):
        return True
    return older != OPEN and git(root, "merge-base", "--is-ancestor", older, newer)[0] == 0


def rule_commits(root: Path, path: Path) -> dict[str, str]:
    """Of each claim in the file the commit at which its rule was last changed, empty where it is not committed.

    A claim's `rule_commit` names the commit at which the rule stood elsewhere before; it counts as long as no line of
    the rule is younger than it.
    """
    claims: dict[str, dict[str, list[tuple[str, str]]]] = {}
    name, key = "", ""
    for commit, text in blame(root, path):
        if started := re.match(r"- name: *(\S+)", text):
            name, key = started[1], "name"
        elif found := re.match(r"  (\w+):", text):
            key = found[1]
        if name and text.strip():
            claims.setdefault(name, {}).setdefault(key, []).append((commit, text))
    return {name: _rule_commit(root, keys) for name, keys in claims.items()}


def _rule_commit(root: Path, keys: dict[str, list[tuple[str, str]]]) -> str:
    own = {commit for key in RULE for commit, _ in keys.get(key, ())}
    youngest = reduce(lambda a, b: b if _holds(root, a, b) else a, sorted(own))
    for commit, text in keys.get(RULE_COMMIT, ()):
        if _holds(root, youngest, commit):
            return text.split(":")[1].strip().strip("\"'")
    return "" if youngest == OPEN else youngest[:12]


def came_first(root: Path, rule: str, code: str, *, itself: bool) -> bool | None:
    """Whether the code version holds the rule; None where the history does not know one of them.

    Args:
        itself: whether the rule may have come with that very commit: not where figures came with it.
    """
    both = [git(root, "rev-parse", "--verify", "--quiet", f"{one}^{{commit}}") for one in (rule, code)]
    if any(status for status, _ in both):
        return None
    if both[0] == both[1]:
        return itself
    return git(root, "merge-base", "--is-ancestor", rule, code)[0] == 0
