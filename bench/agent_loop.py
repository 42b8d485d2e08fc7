"""Steps per second of the think–act loop with a scripted model and in-process tools, log on disk included.

Every context policy with room for everything, and in a window that overflows again and again.

    python -m bench.agent_loop

The floor is the JSON that is written: about 400 bytes a step. Peer: the same model and tool called in a bare loop.
"""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.loop.context import RULES, ContextPolicy
from agents.loop.loop import Message, Options, Run, run

STEPS = 300
ROUNDS = 10
ROOM, TIGHT = 128_000, 16_384


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


def once(log: Path, policy: ContextPolicy, context_tokens: int) -> Run:
    options = Options(max_steps=STEPS + 1, context_tokens=context_tokens, context_policy=policy)
    return run(Scripted(), tool, [{"role": "user", "content": "look"}], [], options, log=log)


def main() -> None:
    started = time.perf_counter()
    for _ in range(ROUNDS):
        bare()
    print(f"bare calls: {ROUNDS * STEPS / (time.perf_counter() - started):,.0f} steps/s")
    for context_tokens in (ROOM, TIGHT):
        for policy in RULES:
            steps, started = 0, time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                for number in range(ROUNDS):
                    done = once(Path(folder) / f"{number}.jsonl", policy, context_tokens)
                    steps += done.steps
            rate = steps / (time.perf_counter() - started)
            print(f"{policy}, {context_tokens} tokens: {rate:,.0f} steps/s, {done.steps} steps, {done.stop}")


if __name__ == "__main__":
    main()
