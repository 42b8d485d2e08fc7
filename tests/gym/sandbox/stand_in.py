"""A container's first process on this machine, for command lines of our own on PATH: no isolation, the same talk."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def exactly(count: int) -> bytes:
    return sys.stdin.buffer.read(count)


def say(value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    sys.stdout.buffer.write(len(body).to_bytes(4, "big") + body)
    sys.stdout.buffer.flush()


def answer(**changed: Any) -> dict[str, Any]:
    return {
        "reason": "", "status": 0, "stdout": "", "stderr": "", "cpu_s": 0.0, "wall_s": 0.0, "max_rss_mb": 0.0,
        "files": {}, **changed,
    }  # fmt: skip


def serve(words: list[str], found: str = "[]") -> int:
    """Runs `words`, the interpreter's arguments, on the request of standard input; a job may name a fault instead.

    Args:
        found: what a probe is to have found, a JSON list.
    """
    request = json.loads(exactly(int.from_bytes(exactly(4), "big")))
    source = request["job"]["source"]
    if source and "name server" in source:
        say({"started": True})
        say(answer(stdout=json.dumps({"found": json.loads(found), "packages": os.environ["PACKAGES"]})))
        return 0
    if source == "dies":
        say({"started": True})
        return 1
    if source == "killed":
        say({"started": True})
        return 137
    if source == "refused":
        print("no such image", file=sys.stderr)
        return 125
    with tempfile.TemporaryDirectory() as place:
        inside = request["modules"]["container_inside"]
        request["modules"]["container_inside"] = inside.replace('PLACE = "/sandbox/box"', f"PLACE = {place!r}")
        body = json.dumps(request).encode()
        environment = {"PATH": os.environ["PATH"]}
        process = subprocess.Popen([sys.executable, *words], stdin=subprocess.PIPE, env=environment)
        assert process.stdin is not None
        process.stdin.write(len(body).to_bytes(4, "big") + body)
        process.stdin.flush()
        return process.wait()


def script(text: str) -> str:
    """A program that has this module as `stand_in`."""
    here = str(Path(__file__).parent)
    return f"#!{sys.executable}\nimport json, os, sys\nsys.path.insert(0, {here!r})\nimport stand_in\n{text}"
