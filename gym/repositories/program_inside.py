"""Runs inside a sandbox: small programs, each in forks of its own, and what the last expression of each gives.

Reads `ask.json`, writes `ran.jsonl`; the repository's files are below `tree`. Standard library only. Each program runs
twice, the second time years later by the clock and as if in another interpreter, so that what depends on the time, on
an address or on the hash seed shows, and under a profile hook; once where its claim already settles that it is no use.
"""

import ast
import contextlib
import datetime
import json
import linecache
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from elsewhere_inside import move

RUN_S = 2.0  # processor seconds
WALL_S = 30.0
LATER = datetime.timedelta(days=1000, seconds=20_000)
REAL_DATETIME, REAL_DATE = datetime.datetime, datetime.date
FILE = "report.py"
FIXED = (int, float, complex, bool)


def unordered(value: Any, depth: int = 0) -> bool:
    """Whether its text may come out in another order elsewhere: a set of texts or objects, at any depth."""
    if depth > 6:
        return False
    if isinstance(value, set | frozenset):
        return len(value) > 1 and not all(isinstance(part, FIXED) for part in value)
    if isinstance(value, dict):
        return any(unordered(part, depth + 1) for pair in value.items() for part in pair)
    return isinstance(value, list | tuple) and any(unordered(part, depth + 1) for part in value)


class Kind(type):
    """Objects of the real class count as its own."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, REAL_DATETIME if issubclass(cls, REAL_DATETIME) else REAL_DATE)


class Now(datetime.datetime, metaclass=Kind):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return REAL_DATETIME.now(tz) + LATER

    @classmethod
    def utcnow(cls) -> Any:
        return REAL_DATETIME.utcnow() + LATER

    @classmethod
    def today(cls) -> Any:
        return REAL_DATETIME.today() + LATER


class Today(datetime.date, metaclass=Kind):
    @classmethod
    def today(cls) -> Any:
        return REAL_DATE.today() + LATER


def move_clock() -> None:
    """Every clock that a module holds shows a later time."""
    now, now_ns, local, utc = time.time, time.time_ns, time.localtime, time.gmtime
    seconds = LATER.total_seconds()
    moved: dict[Any, Any] = {
        now: lambda: now() + seconds,
        now_ns: lambda: now_ns() + int(seconds) * 10**9,
        local: lambda at=None: local(now() + seconds if at is None else at),
        utc: lambda at=None: utc(now() + seconds if at is None else at),
        REAL_DATETIME: Now,
        REAL_DATE: Today,
    }
    for module in list(sys.modules.values()):
        if module is not sys.modules["__main__"]:
            for name, value in list(getattr(module, "__dict__", {}).items()):
                with contextlib.suppress(TypeError):
                    if value in moved:
                        setattr(module, name, moved[value])


class Depth:
    """A profile hook: how many calls of the repository's code lead to a changed function, that one included."""

    def __init__(self, work: str, code: list[str], changed: list[list[str]]) -> None:
        self.files = {f"{work}/{path}" for path in code}
        self.changed = {(f"{work}/{path}", name) for path, name in changed}
        self.found: int | None = None

    def __call__(self, frame: FrameType, event: str, value: Any) -> None:
        code = frame.f_code
        if event == "call" and (code.co_filename, code.co_qualname.replace(".<locals>", "")) in self.changed:
            sys.setprofile(None)
            above: FrameType | None = frame
            self.found = 0
            while above is not None:
                self.found += above.f_code.co_filename in self.files
                above = above.f_back


def evaluate(program: dict[str, Any], depth: Depth | None) -> dict[str, Any]:
    """What the program gives: text, whether its claim holds, whether the text is certain to come out the same."""
    source = "\n".join([*program["imports"], *program["setup"], program["expression"]])
    linecache.cache[FILE] = (len(source), None, source.splitlines(True), FILE)
    tree = ast.parse(source)
    last = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
    names: dict[str, Any] = {"__name__": "report"}
    value: Any = None
    error: BaseException | None = None
    ready = False
    sys.setprofile(depth)
    try:
        exec(compile(tree, FILE, "exec", dont_inherit=True), names)
        ready = True
        value = eval(compile(last, FILE, "eval", dont_inherit=True), names)
    except Exception as caught:  # noqa: BLE001  the program's own
        error = caught
    finally:
        sys.setprofile(None)
    told: dict[str, Any] = {"ready": ready, "holds": False, "unordered": unordered(value), "frames": []}
    told["chain"] = depth.found if depth is not None else None
    if error is not None:
        told["value"] = f"!{type(error).__name__}: {error}"
        told["frames"] = [list(part) for part in traceback.extract_tb(error.__traceback__)[1:]]
    else:
        told["value"] = repr(value)
        told["set"] = isinstance(value, set | frozenset)
    if program["relation"] == "works":
        told["holds"] = error is None
    elif ready and (program["relation"] == "raises") == (error is not None):
        with contextlib.suppress(Exception):  # a claim that can't be asked does not hold
            exec("\n".join(program["extra"]), names)
            want = eval(program["expected"], names) if program["expected"] else None
            told["holds"] = bool(eval(program["holds"], {"value": value if error is None else error, "want": want}))
    return told


def evaluated(program: dict[str, Any], depth: Depth | None) -> dict[str, Any]:
    """`evaluate` in a child with a limit, years later with `depth`; `{"endless": …}` or nothing where nothing came."""

    def answer() -> dict[str, Any]:
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, RUN_S)
        if depth is not None:
            move_clock()
        return evaluate(program, depth)

    data, status = forked(answer, WALL_S)
    if os.WIFSIGNALED(status):
        return {"endless": os.WTERMSIG(status) == signal.SIGPROF}
    return json.loads(data) if data else {}  # type: ignore[no-any-return]


def forked(answer: Callable[[], Any], wall_s: float | None) -> tuple[bytes, int]:
    """(what a child answers, as JSON; its wait status): killed after `wall_s`."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            data = json.dumps(answer()).encode()
            while data:
                data = data[os.write(write, data) :]
        except BaseException:  # noqa: BLE001  anything that the program did to this process
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(write)
    got, end = bytearray(), None if wall_s is None else time.monotonic() + wall_s
    while select.select([read], [], [], None if end is None else max(0.0, end - time.monotonic()))[0]:
        part = os.read(read, 1 << 16)
        if not part:
            break
        got += part
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(read)
    _, status = os.waitpid(pid, 0)
    return bytes(got), status


def batch(programs: list[dict[str, Any]], depths: Sequence[Depth | None]) -> list[dict[str, Any]]:
    """Each evaluated, by a child that imports the repository anew, with depths as if in another interpreter."""

    def answer() -> list[dict[str, Any]]:
        if any(depth is not None for depth in depths):
            move()
        for line in sorted({line for program in programs for line in program["imports"]}):
            with contextlib.suppress(Exception):
                exec(line, {})
        return [evaluated(program, depth) for program, depth in zip(programs, depths, strict=True)]

    data, _ = forked(answer, None) if programs else (b"[]", 0)
    return json.loads(data) if data else [{} for _ in programs]


def main() -> None:
    with open("ask.json", encoding="utf-8") as handle:
        ask = json.load(handle)
    place = os.getcwd()
    os.chdir("tree")
    work = os.getcwd()
    roots = [os.path.normpath(os.path.join(work, root)) for root in ask["roots"]]
    sys.path[:] = [*roots, *(path for path in sys.path[1:] if path not in roots)]
    sys.dont_write_bytecode = True
    programs = ask["programs"]
    told = batch(programs, [None] * len(programs))
    worth = [number for number, one in enumerate(told) if "value" in one and one["holds"] is not ask["useless"]]
    depths = [Depth(work, ask["code"], ask["changed"]) for _ in worth]
    again = dict(zip(worth, batch([programs[number] for number in worth], depths), strict=True))
    with open(f"{place}/ran.jsonl", "w", encoding="utf-8") as out:  # after every program, so that none writes to it
        for number, one in enumerate(told):
            second = again.get(number, {})
            one |= {"again": second.get("value"), "chain": second.get("chain")}
            one |= {"work": work, "place": os.path.dirname(place)}
            out.write(f"{json.dumps(one)}\n")


main()
