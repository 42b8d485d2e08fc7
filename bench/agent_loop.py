"""Steps per second of the think–act loop with a scripted model and in-process tools, log on disk included.

    python -m bench.agent_loop

The floor is the JSON that is written: about 400 bytes a step. Peer: the same model and tool called in a bare loop.
"""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.loop.context import ViewPolicy
from agents.loop.loop import Message, Options, Run, run

STEPS = 300
ROUNDS = 10


class Scripted:
    """Calls a tool `STEPS` times and answers."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Message:
        if self.made == STEPS:
            return {"role": "assistant", "content": "done"}
        function = {"name": "look", "arguments": json.dumps({"place": self.made})}
        call = {"id": f"functions.look:{self.made}", "type": "function", "function": function}
        self.made += 1
        return {"role": "assistant", "content": "", "reasoning_content": "next place", "tool_calls": [call]}


def tool(name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
    return json.dumps({"place": arguments["place"], "found": "x" * 100}), False


def bare() -> None:
    model = Scripted()
    message = model([], [])
    while message.get("tool_calls"):
        tool("look", json.loads(message["tool_calls"][0]["function"]["arguments"]))
        message = model([], [])


def once(folder: Path, number: int, policy: ViewPolicy) -> Run:
    options = Options(max_steps=STEPS + 1, policy=policy)
    return run(Scripted(), tool, [{"role": "user", "content": "look"}], [], options, log=folder / f"{number}.jsonl")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        for policy in (ViewPolicy("full"), ViewPolicy("hide_all")):
            started = time.perf_counter()
            for number in range(ROUNDS):
                done = once(Path(name) / policy.name, number, policy)
                assert done.answer == "done"
            rate = ROUNDS * STEPS / (time.perf_counter() - started)
            started = time.perf_counter()
            for _ in range(ROUNDS):
                bare()
            peer = ROUNDS * STEPS / (time.perf_counter() - started)
            print(f"{policy.name}: {rate:,.0f} steps/s at {STEPS} steps; bare calls {peer:,.0f}/s")


if __name__ == "__main__":
    main()
