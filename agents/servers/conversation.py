"""Conversations in which a real MCP server is called: it runs in a sandbox, and its results are what it returned.

    with ServerConversations(base=7) as made:
        conversation = made.make(0)

Each is made from its number and the base alone. The calls are then made again from a clean state; a conversation whose
results differ is not kept, like one in which a step went otherwise than planned; `lost` counts both by reason.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any

from agents.requests.dialog import Call, Message, called
from agents.servers.driver import as_objects, fill
from agents.servers.scene import Scene, Turn, draw_turns, open_turn
from agents.servers.spec import HELD, ServerSpec, Step, specs
from agents.servers.wording import sentence, written
from agents.tools.declaration import declaration
from gym.sandbox import Job, Limits, Sandbox, SandboxError, Verdict, open_sandbox

DRIVER = Path(__file__).with_name("driver.py").read_text(encoding="utf-8")
PRELOAD = ("mcp", "mcp.server.mcpserver", "mcp.server.stdio", "pydantic", "anyio", "asyncio", "sqlite3", "subprocess")
LIMITS = Limits(cpu_s=20.0, wall_s=60.0, memory_mb=2048, output_bytes=1 << 20, file_mb=32, processes=64)
ENV = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
DECLINED = 0.06  # of turns: what another server would be needed for
MOST_OTHERS = 4  # declared tools that nobody needs, unless the whole list is
WHOLE_LIST = 0.15


@dataclass
class ServerConversation:
    """kinds: of each turn: `call`, `parallel`, `chain`, `recovery` or `no_tool`. gold: the calls, in order.

    dependent: calls that hold a value of an earlier result. errors: results that are errors.
    """

    server: str
    seed: int
    tools: list[dict[str, Any]]
    messages: list[Message] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    gold: list[Call] = field(default_factory=list)
    dependent: int = 0
    errors: int = 0

    @property
    def group(self) -> str:
        return self.server

    def declarations(self) -> list[dict[str, Any]]:
        return self.tools

    def call(self, calls: Sequence[Call], results: Sequence[str]) -> None:
        """Adds a message with calls, and the result of each."""
        self.messages += called(calls, results, len(self.gold))
        self.gold += calls


class ServerConversations:
    """Makes the conversation with a number; one process of it keeps one core busy.

    Args:
        servers: names of `specs`; all but HELD when left out. base: the seed of number 0.
    """

    def __init__(self, servers: Sequence[str] = (), *, base: int) -> None:
        self.specs = {name: specs()[name] for name in servers or [name for name in specs() if name != HELD]}
        self.base = base
        self.lost: Counter[str] = Counter()
        self._tools: dict[str, list[dict[str, Any]]] = {}
        self._open = ExitStack()

    def __enter__(self) -> "ServerConversations":
        """Raises SandboxError: no sandbox of level `namespaces` on this machine, or a server does not start in it."""
        preload = dict.fromkeys([*PRELOAD, *(name for spec in self.specs.values() for name in spec.preload)])
        self._box: Sandbox = self._open.enter_context(open_sandbox("namespaces", workers=1, preload=list(preload)))
        try:
            for name, spec in self.specs.items():
                report = self._run(name, self._plan(spec, Scene(spec, Random(name)), list=True))
                self._tools[name] = [_declaration(tool) for tool in report["tools"]]
        except SandboxError:
            self._open.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def declarations(self, server: str) -> list[dict[str, Any]]:
        """All tools of a server, in the OpenAI shape."""
        return self._tools[server]

    def make(self, number: int) -> ServerConversation | None:
        """None for one that is not kept; `lost` says why.

        Raises:
            SandboxError: the sandbox or the server ended.
        """
        rng = Random(f"{self.base}|{number}|servers")
        name = rng.choices(list(self.specs), [spec.weight for spec in self.specs.values()])[0]
        spec = self.specs[name]
        scene = Scene(spec, rng)
        turns = draw_turns(spec, scene, rng)
        report = self._run(name, self._plan(spec, scene, turns=turns))
        if report["failed"]:
            self.lost[f"{name}: {report['failed']}"] += 1
            return None
        calls = [call for turn in report["turns"] for step in turn["steps"] for call in step]
        again = self._run(name, self._plan(spec, scene, replay=calls))
        if again.get("replayed") != calls:
            self.lost[f"{name}: other results when replayed"] += 1
            return None
        return self._written(name, number, scene, turns, report["turns"], rng)

    def _run(self, name: str, plan: Mapping[str, Any]) -> dict[str, Any]:
        files = {".plan.json": json.dumps(plan)} | plan["files"]
        outcome = self._box.run(Job(source=DRIVER, files=files, args=(".plan.json",), limits=LIMITS))
        if outcome.verdict is not Verdict.OK:
            raise SandboxError(f"MCP server {name}: {outcome.detail or outcome.verdict.value}")
        report: dict[str, Any] = json.loads(outcome.stdout)
        return report

    def _plan(self, spec: ServerSpec, scene: Scene, **more: Any) -> dict[str, Any]:
        return {
            "module": spec.module,
            "args": fill(spec.args, scene.values),
            "env": ENV | fill(spec.env, scene.values),
            "now": scene.now,
            "errors": spec.errors,
            "files": scene.files,
            "databases": scene.databases,
            "commands": scene.commands,
            "values": scene.plain,
            "before": [_step(step) for step in spec.before],
            "list": False,
            "turns": [],
            "replay": [],
        } | {key: [_turn(turn) for turn in value] if key == "turns" else value for key, value in more.items()}

    # ---- words -------------------------------------------------------------------------------------------------------

    def _written(
        self,
        name: str,
        number: int,
        scene: Scene,
        turns: Sequence[Turn],
        results: Sequence[Mapping[str, Any]],
        rng: Random,
    ) -> ServerConversation:
        needed = {step.call for turn in turns for step in turn.intent.steps}
        made = ServerConversation(name, self.base + number, self._declared(name, needed, rng))
        context = written(rng.choice(scene.spec.context), scene.values, rng) if scene.spec.context else ""
        by_system = bool(context) and rng.random() < 0.6
        if by_system or rng.random() < 0.2:
            system = sentence("system", rng)
            made.messages.append({"role": "system", "content": f"{system} {context}" if by_system else system})
        scope = scene.values
        for turn, result in zip(turns, results, strict=True):
            if len(self.specs) > 1 and rng.random() < DECLINED:
                self._decline(made, rng)
            scope |= as_objects(turn.values)
            text = _spoken(written(rng.choice(turn.intent.say), scope, rng), bool(made.kinds), rng)
            if context and not by_system and not made.gold:
                text = f"{text} {context}" if rng.random() < 0.5 else f"{context} {text}"
            made.messages.append({"role": "user", "content": text})
            for step in result["steps"]:
                _add(made, step)
            made.kinds.append(_kind(result["steps"]))
            scope |= result["taken"]
            made.messages.append({"role": "assistant", "content": written(rng.choice(turn.intent.answer), scope, rng)})
        return made

    def _declared(self, name: str, needed: set[str], rng: Random) -> list[dict[str, Any]]:
        """The needed tools and some of the others, or the whole list; in any order."""
        own = self._tools[name]
        if rng.random() < WHOLE_LIST:
            return own
        others = [tool for tool in own if tool["function"]["name"] not in needed]
        chosen = [tool for tool in own if tool["function"]["name"] in needed]
        chosen += rng.sample(others, rng.randint(0, min(MOST_OTHERS, len(others))))
        rng.shuffle(chosen)
        return chosen

    def _decline(self, made: ServerConversation, rng: Random) -> None:
        """A request that another server would be needed for."""
        other = self.specs[rng.choice([name for name in self.specs if name != made.server])]
        scene = Scene(other, rng)
        turn = open_turn(other, scene, rng)
        scope = scene.values | as_objects(turn.values)
        text = _spoken(written(rng.choice(turn.intent.say), scope, rng), bool(made.kinds), rng)
        answer = sentence("decline", rng, about=self.specs[made.server].about, other=other.about)
        made.messages += [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
        made.kinds.append("no_tool")


# ---- the plan of a run ----------------------------------------------------------------------------------------------


def _turn(turn: Turn) -> dict[str, Any]:
    return {"values": turn.values, "steps": [_step(step) for step in turn.intent.steps]}


def _step(step: Step) -> dict[str, Any]:
    return step.model_dump(by_alias=True)


# ---- messages --------------------------------------------------------------------------------------------------------


def _declaration(tool: Mapping[str, Any]) -> dict[str, Any]:
    description = "\n".join(line.strip() for line in tool.get("description", "").strip().splitlines())
    return declaration(tool["name"], description, tool["inputSchema"])


def _add(made: ServerConversation, step: Sequence[Mapping[str, Any]]) -> None:
    """One message with the calls of a step, and a result for each."""
    made.call([(call["name"], call["arguments"]) for call in step], [call["text"] for call in step])
    made.dependent += sum(call["dependent"] for call in step)
    made.errors += sum(call["error"] for call in step)


def _kind(steps: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    if any(call["error"] for step in steps for call in step):
        return "recovery"
    if len(steps) > 1:
        return "chain"
    return "parallel" if len(steps[0]) > 1 else "call"


def _spoken(text: str, later: bool, rng: Random) -> str:
    """With a word before or after it, or without; some users write no capitals."""
    if rng.random() < 0.25:
        start = sentence("later" if later else "first", rng)
        text = start + (text[0].lower() + text[1:] if start.rstrip()[-1] not in ".!?" and text[1:2].islower() else text)
    if rng.random() < 0.12:
        text += " " + sentence("after", rng)
    if rng.random() < 0.08 and text.split()[0].istitle():
        text = text[0].lower() + text[1:]
    return text
