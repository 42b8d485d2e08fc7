"""Runs inside a sandbox: an MCP server over its standard streams, its clock standing still, and a plan of calls.

`python main.py PLAN`; standard library only. The server is the package's own program, forked from this interpreter so
that libraries are loaded once for many sandboxes. Prints one JSON object: its tools, and what every call returned.

A plan's strings may hold `{name}`: a value of the plan's `values`, or one that a step took from an earlier result.
"""

import datetime
import functools
import json
import os
import re
import runpy
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NoReturn

SHOWN = "/workspace"  # what the folder of the sandbox is called, in arguments and results
NAME = re.compile(r"\{([a-z_][a-z_0-9.]*)\}")
SQL_CLOCK = {"current_timestamp": "%Y-%m-%d %H:%M:%S", "current_date": "%Y-%m-%d", "current_time": "%H:%M:%S"}


class Failed(Exception):
    """A step did not go as planned; the message is the reason."""


# ---- the server -----------------------------------------------------------------------------------------------------


def stand_still(now: float) -> None:
    """The clock of this process shows one moment, in UTC, for code that is imported from here on; SQLite's too."""

    class Still(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Still":
            return cls.fromtimestamp(now, tz)

        @classmethod
        def utcnow(cls) -> "Still":
            return cls.fromtimestamp(now, datetime.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> "Still":
            return cls.fromtimestamp(now)

    datetime.datetime = Still  # type: ignore[misc]
    time.time = lambda: now
    time.perf_counter = lambda: now
    connect, moment = sqlite3.connect, Still.utcnow()

    def connect_still(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        for name, form in SQL_CLOCK.items():
            connection.create_function(name, 0, functools.partial(moment.strftime, form))
        return connection

    sqlite3.connect = connect_still  # type: ignore[assignment]


def serve(plan: dict[str, Any], stdin: int, stdout: int) -> NoReturn:
    """Becomes the server."""
    os.dup2(stdin, 0)
    os.dup2(stdout, 1)
    os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
    os.closerange(3, 256)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))
    sys.argv = [plan["module"], *inside(plan["args"])]
    stand_still(plan["now"])
    try:
        runpy.run_module(plan["module"], run_name="__main__", alter_sys=True)
    finally:
        os._exit(0)


class Server:
    """The wire to it: one JSON object a line."""

    def __init__(self, plan: dict[str, Any]) -> None:
        to_server, from_us = os.pipe()
        to_us, from_server = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            serve(plan, to_server, from_server)
        os.close(to_server)
        os.close(from_server)
        self.out = open(from_us, "w", encoding="utf-8")
        self.back = open(to_us, encoding="utf-8")
        self.number = 0
        self.errors = plan["errors"]
        client = {"name": "client", "version": "1"}
        self.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
        self._send({"method": "notifications/initialized"})

    def _send(self, message: dict[str, Any]) -> None:
        self.out.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.out.flush()

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self.number += 1
        self._send({"id": self.number, "method": method, "params": params})
        for line in self.back:
            answer = json.loads(line)
            if answer.get("id") == self.number:
                return answer
        raise Failed("the server ended")

    def call(self, name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        """(text, whether it is an error), as a client shows it."""
        answer = self.ask("tools/call", {"name": name, "arguments": inside(arguments)})
        if "error" in answer:
            return self.shown(json.dumps({"error": answer["error"]["message"]}, ensure_ascii=False)), True
        result = answer["result"]
        parts = [part["text"] if part["type"] == "text" else f"[{part['type']}]" for part in result["content"]]
        text = self.shown("\n".join(parts))
        return text, bool(result.get("isError") or (self.errors and re.search(self.errors, text)))

    def shown(self, text: str) -> str:
        """The text without what differs from run to run: where the sandbox lies."""
        return text.replace(os.getcwd(), SHOWN)


def inside(value: Any) -> Any:
    """The value with the folder as it is called in this sandbox."""
    if isinstance(value, str):
        return value.replace(SHOWN, os.getcwd())
    if isinstance(value, list):
        return [inside(part) for part in value]
    return {key: inside(part) for key, part in value.items()} if isinstance(value, dict) else value


# ---- the plan -------------------------------------------------------------------------------------------------------


def as_object(value: Any) -> Any:
    """Mappings as objects with attributes, so that `{note.title}` reads them."""
    if isinstance(value, list):
        return [as_object(part) for part in value]
    return SimpleNamespace(**as_objects(value)) if isinstance(value, dict) else value


def as_objects(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: as_object(value) for name, value in values.items()}


def lookup(name: str, values: Mapping[str, Any]) -> Any:
    """The value of `note.title`."""
    first, *parts = name.split(".")
    value: Any = values[first]
    for part in parts:
        value = getattr(value, part)
    return value


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """The template with its values; a string that is one `{name}` alone becomes that value, whatever its type."""
    if isinstance(template, list):
        return [fill(part, values) for part in template]
    if isinstance(template, dict):
        return {str(fill(key, values)): fill(part, values) for key, part in template.items()}
    if not isinstance(template, str):
        return template
    if whole := NAME.fullmatch(template):
        return lookup(whole[1], values)
    return NAME.sub(lambda match: str(lookup(match[1], values)), template)


def names_in(template: Any) -> set[str]:
    return {name.split(".")[0] for name in NAME.findall(json.dumps(template))}


def take(pattern: str, text: str) -> Any:
    """The first group; every match's, after `all:`; after `json:` what lies there in JSON. Integers become numbers."""
    if pattern.startswith("json:"):
        value = json.loads(text)
        for key in pattern[5:].split("."):
            value = value[int(key) if isinstance(value, list) else key]
        return value
    if pattern.startswith("all:"):
        return [number(match) for match in re.findall(pattern[4:], text)]
    match = re.search(pattern, text)
    if match is None:
        raise Failed(f"no {pattern} in a result")
    return number(match[1])


def number(text: str) -> Any:
    return int(text) if re.fullmatch(r"-?(0|[1-9]\d{0,5})", text) else text


def run_step(server: Server, step: dict[str, Any], values: dict[str, Any], taken: set[str]) -> list[dict[str, Any]]:
    """The calls of a step; what it takes goes into `values`, and its name into `taken`.

    A step is one call, or with `for: {name: values}` a call for each of them, all at once.
    """
    (loop, items), *_ = list(fill(step["for"], values).items()) or [("", [None])]
    dependent = bool((names_in(step["with"]) | names_in(step["for"])) & taken)
    calls, texts = [], []
    for item in items:
        arguments = fill(step["with"], values | ({loop: item} if loop else {}))
        text, error = server.call(step["call"], arguments)
        if error != step["fails"]:
            raise Failed(f"{step['call']}: " + ("an error" if error else "no error"))
        calls.append(
            {"name": step["call"], "arguments": arguments, "text": text, "error": error, "dependent": dependent}
        )
        texts.append(text)
    for name, pattern in step["take"].items():
        values[name] = take(fill(pattern, values), "\n".join(texts))
        taken.add(name)
    for name, part in step["find"].items():
        hits = [item for item, text in zip(items, texts, strict=True) if str(fill(part, values)) in text]
        if len(hits) != 1:
            raise Failed(f"{step['call']}: {len(hits)} results hold what is sought")
        values[name] = hits[0]
        taken.add(name)
    if step["shows"] is not None and str(fill(step["shows"], values)) not in "\n".join(texts):
        raise Failed(f"{step['call']}: a result lacks what it should show")
    return calls


def replay(server: Server, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls as they were made, with what they return now."""
    again = []
    for call in calls:
        text, error = server.call(call["name"], call["arguments"])
        again.append({**call, "text": text, "error": error})
    return again


def lay(plan: dict[str, Any]) -> None:
    """What the files alone do not hold: databases, and commands such as those that make a repository's history."""
    for path, script in plan["databases"].items():
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        connection = sqlite3.connect(path)
        connection.executescript(script)
        connection.close()
    for words in plan["commands"]:
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as handle:
        plan = json.load(handle)
    os.unlink(sys.argv[1])
    os.environ.update(inside(plan["env"]))
    lay(plan)
    server = Server(plan)
    report: dict[str, Any] = {"turns": [], "failed": ""}
    if plan["list"]:
        report["tools"] = server.ask("tools/list", {})["result"]["tools"]
    values = as_objects(plan["values"])
    taken: set[str] = set()
    try:
        for step in plan["before"]:
            run_step(server, step, values, set())
        for turn in plan["turns"]:
            fresh = as_objects(turn["values"])
            values |= fresh
            taken -= fresh.keys()
            steps = [run_step(server, step, values, taken) for step in turn["steps"]]
            report["turns"].append({"steps": steps, "taken": {n: values[n] for n in sorted(taken)}})
        report["replayed"] = replay(server, plan["replay"])
    except Failed as reason:
        report["failed"] = str(reason)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
