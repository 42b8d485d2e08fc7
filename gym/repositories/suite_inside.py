"""Runs inside a sandbox: pytest over the tree in `tree`, and a record of each test on standard output.

Standard input is two secret words and what to run, as JSON. A fork runs the tests and knows the first word alone; this
process never imports anything of the tree, and writes the last record, with the second word, when the fork has ended.
"""

import contextlib
import ctypes
import json
import os
import random
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

import pytest

TREE = "tree"
CHANNEL = 60  # below the sandbox's limit on descriptors, above what programs open
ADDRESS = re.compile(r"(?<= at )0x[0-9a-f]{6,}")


class Reporter:
    """One record a test: its worst phase, the seconds of all, and the text of a failure."""

    def __init__(self, write: Callable[[dict[str, Any]], None], wanted: Iterable[str], *, texts: bool) -> None:
        self.write, self.wanted, self.texts = write, set(wanted), texts
        self.outcome, self.seconds, self.text = "", 0.0, ""
        self.count, self.collected, self.ran = 0, 0, 0

    def tell(self, node: str, outcome: str, seconds: float, text: str) -> None:
        self.count += 1
        self.write({"id": node, "outcome": outcome, "seconds": round(seconds, 4), "text": text if self.texts else ""})

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Only the wanted ones: as arguments, one that is missing would keep all others from running."""
        if self.wanted:
            items[:] = [item for item in items if not self.wanted.isdisjoint(containers(item.nodeid))]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.collected = len(session.items)

    def pytest_runtest_logstart(self) -> None:
        self.outcome, self.seconds, self.text = "", 0.0, ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds += report.duration
        if report.failed:
            self.outcome = "failed" if report.when == "call" and self.outcome != "error" else "error"
            self.text = self.text or report.longreprtext
        elif report.skipped:
            self.outcome = self.outcome or "skipped"
        elif report.when == "call":
            self.outcome = self.outcome or "passed"

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.ran += 1
        self.tell(nodeid, self.outcome or "error", self.seconds, self.text)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.tell(report.nodeid, "error", 0.0, report.longreprtext)


def containers(node: str) -> list[str]:
    """The test itself, without its parameters, its classes, its file and the folders above it."""
    file, *names = node.partition("[")[0].split("::")
    folders = file.split("/")
    paths = ["/".join(folders[:count]) for count in range(1, len(folders) + 1)]
    return [node, *paths, *("::".join([file, *names[:count]]) for count in range(1, len(names) + 1))]


def child(word: str, run: dict[str, Any]) -> int:
    """Becomes the tests' process; gives its exit status."""
    os.dup2(1, CHANNEL, inheritable=False)
    nothing = os.open(os.devnull, os.O_RDWR)
    for target in range(3):
        os.dup2(nothing, target)
    place = os.getcwd()
    base = os.path.dirname(os.path.dirname(place))

    def write(record: dict[str, Any]) -> None:
        text = ADDRESS.sub("0x7f0000000000", json.dumps(record)).replace(place, "").replace(base, "")
        data = f"{word} {text}\n".encode()
        while data:
            data = data[os.write(CHANNEL, data) :]

    os.mkdir("temporary")
    os.environ |= {"PYTHONHASHSEED": "0", "TMPDIR": f"{place}/temporary", "TZ": "UTC", "PYTHONDONTWRITEBYTECODE": "1"}
    os.environ |= run["environment"]
    sys.dont_write_bytecode = True
    random.seed(0)
    os.chdir(TREE)
    roots = [os.path.normpath(os.path.join(os.getcwd(), root)) for root in run["roots"]]
    sys.path[:] = [*roots, *(path for path in sys.path[1:] if path not in roots)]
    os.environ["PYTHONPATH"] = ":".join(roots)
    sys.argv = ["pytest"]
    reporter = Reporter(write, run["wanted"], texts=run["texts"])
    status = pytest.main(run["arguments"], plugins=[reporter])
    write({"end": int(status), "count": reporter.count, "missing": reporter.collected - reporter.ran})
    return 0


def main() -> None:
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: /proc shows the fork nothing of this process
    size = os.fstat(0).st_size
    last = 33  # the second word and the end of its line: not read before the fork
    first, _, text = os.read(0, size - last).decode().partition("\n")
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            status = child(first, json.loads(text))
        os._exit(status)
    _, wait_status = os.waitpid(pid, 0)
    second = os.read(0, last).decode().strip()
    os.write(1, f"\n{second} {os.waitstatus_to_exitcode(wait_status)}\n".encode())


main()
