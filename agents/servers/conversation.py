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
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any

import yaml

from agents.servers.driver import as_object, fill
from agents.servers.spec import HELD, Intent, ServerSpec, Step, draw, draw_list, specs, written
from gym.sandbox import Job, Limits, Sandbox, SandboxError, Verdict, open_sandbox

DRIVER = Path(__file__).with_name("driver.py").read_text(encoding="utf-8")
PRELOAD = ("mcp", "mcp.server.mcpserver", "mcp.server.stdio", "pydantic", "anyio", "asyncio", "sqlite3", "subprocess")
LIMITS = Limits(cpu_s=20.0, wall_s=60.0, memory_mb=2048, output_bytes=1 << 20, file_mb=32, processes=64)
ENV = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
TURNS = (1, 2, 3, 3, 4)
FOLLOWING = 0.7  # of further turns: one that follows from the turn before, where there is one
DECLINED = 0.06  # of turns: what another server would be needed for
MOST_OTHERS = 4  # declared tools that nobody needs, unless the whole list is
WHOLE_LIST = 0.15
BETWEEN = (datetime(2024, 1, 1, tzinfo=UTC).timestamp(), datetime(2027, 12, 31, tzinfo=UTC).timestamp())
SENTENCES = yaml.safe_load(Path(__file__).with_name("sentences.yaml").read_text(encoding="utf-8"))
Message = dict[str, Any]


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
    gold: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    dependent: int = 0
    errors: int = 0


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
        turns = _turns(spec, scene, rng)
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

    def _plan(self, spec: ServerSpec, scene: "Scene", **more: Any) -> dict[str, Any]:
        return {
            "module": spec.module,
            "args": fill(spec.args, scene.values),
            "env": ENV | fill(spec.env, scene.values),
            "now": scene.now,
            "dated": spec.dated,
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
        scene: "Scene",
        turns: Sequence["Turn"],
        results: Sequence[Mapping[str, Any]],
        rng: Random,
    ) -> ServerConversation:
        needed = {step.call for turn in turns for step in turn.intent.steps}
        made = ServerConversation(name, self.base + number, self._declared(name, needed, rng))
        context = written(rng.choice(scene.spec.context), scene.values, rng) if scene.spec.context else ""
        by_system = bool(context) and rng.random() < 0.6
        if by_system or rng.random() < 0.2:
            system = rng.choice(SENTENCES["system"])
            made.messages.append({"role": "system", "content": f"{system} {context}" if by_system else system})
        scope = dict(scene.values)
        for turn, result in zip(turns, results, strict=True):
            if len(self.specs) > 1 and rng.random() < DECLINED:
                self._decline(made, rng)
            scope |= {n: as_object(v) for n, v in turn.values.items()}
            text = _spoken(written(rng.choice(turn.intent.say), scope, rng), bool(made.kinds), rng)
            if context and not by_system and not made.gold:
                text = f"{text} {context}" if rng.random() < 0.5 else f"{context} {text}"
            made.messages.append({"role": "user", "content": text})
            for step in result["steps"]:
                _called(made, step)
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
        turn = _open_turn(other, scene, rng)
        scope = scene.values | {name: as_object(value) for name, value in turn.values.items()}
        text = _spoken(written(rng.choice(turn.intent.say), scope, rng), bool(made.kinds), rng)
        about = {"about": self.specs[made.server].about, "other": other.about}
        answer = written(rng.choice(SENTENCES["decline"]), about, rng)
        made.messages += [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
        made.kinds.append("no_tool")


# ---- scenes and turns ------------------------------------------------------------------------------------------------


class Scene:
    """What a conversation's sandbox holds at the start, drawn from the spec's pools.

    plain: the values as JSON, `now` among them; `values` are the same with elements as objects.
    now: the clock, in seconds since 1970.
    """

    def __init__(self, spec: ServerSpec, rng: Random) -> None:
        self.spec = spec
        self.now = float(int(rng.uniform(*BETWEEN)))
        self.plain: dict[str, Any] = {"now": int(self.now)}
        for name, value in spec.values.items():
            self.plain[name] = draw(value, self.values, rng)
        for name, elements in spec.lists.items():
            self.plain[name] = draw_list(elements, self.values, rng)
        self.left = {name: rng.sample(self.plain[name], len(self.plain[name])) for name in spec.lists}
        self.files = {
            fill(made.path, scope): str(fill(made.text, scope))
            for made in spec.files
            for scope in self._scopes(made.each)
        }
        self.databases: dict[str, str] = {}
        for made in spec.databases:
            path = fill(made.path, self.values)
            self.databases[path] = self.databases.get(path, "")
            self.databases[path] += "".join(f"{fill(made.sql, scope)};\n" for scope in self._scopes(made.each))
        self.commands = [fill(made.run, scope) for made in spec.commands for scope in self._scopes(made.each)]

    def _scopes(self, each: str) -> list[dict[str, Any]]:
        """The values, or with an element of the list under its name, for every element."""
        if not each:
            return [self.values]
        return [self.values | {each: as_object(element)} for element in self.plain[each]]

    @property
    def values(self) -> dict[str, Any]:
        return {name: as_object(value) for name, value in self.plain.items()}


@dataclass(frozen=True)
class Turn:
    """values: those that the intent drew, as JSON."""

    name: str
    intent: Intent
    values: dict[str, Any]


def _turns(spec: ServerSpec, scene: Scene, rng: Random) -> list[Turn]:
    turns = [_open_turn(spec, scene, rng)]
    for _ in range(rng.choice(TURNS) - 1):
        after = _fitting(spec, scene, turns, follow=True)
        if after and rng.random() < FOLLOWING:
            turns.append(_drawn(_long(after, spec, rng), spec, scene, rng, turns))
        elif fitting := _fitting(spec, scene, turns):
            turns.append(_drawn(_long(fitting, spec, rng), spec, scene, rng))
    return turns


def _open_turn(spec: ServerSpec, scene: Scene, rng: Random) -> Turn:
    return _drawn(_long(_fitting(spec, scene, ()), spec, rng), spec, scene, rng)


def _long(names: Sequence[str], spec: ServerSpec, rng: Random) -> str:
    """One of the intents, those with more steps more often, but not those with an error."""
    steps = [spec.intents[name].steps for name in names]
    return rng.choices(names, [1 if any(step.fails for step in own) else len(own) for own in steps])[0]


def _fitting(spec: ServerSpec, scene: Scene, turns: Sequence[Turn], *, follow: bool = False) -> list[str]:
    """New intents that can come next: those that need no turn before them, or those that follow from the last one."""
    spent = {part for turn in turns for part in turn.intent.spends}
    return [
        name
        for name, intent in spec.intents.items()
        if (turns[-1].name in intent.after if follow else not intent.after)
        and name not in {turn.name for turn in turns}
        and spent.isdisjoint([*intent.needs, *intent.spends])
        and all(n <= len(scene.left[wanted]) for wanted, n in Counter(intent.uses.values()).items())
    ]


def _drawn(name: str, spec: ServerSpec, scene: Scene, rng: Random, before: Sequence[Turn] = ()) -> Turn:
    intent = spec.intents[name]
    values: dict[str, Any] = {used: scene.left[wanted].pop() for used, wanted in intent.uses.items()}
    scope = scene.values
    for turn in before:
        scope |= {n: as_object(v) for n, v in turn.values.items()}
    for drawn, value in intent.draws.items():
        values[drawn] = draw(value, scope | {n: as_object(v) for n, v in values.items()}, rng)
    return Turn(name, intent, values)


def _turn(turn: Turn) -> dict[str, Any]:
    return {"values": turn.values, "steps": [_step(step) for step in turn.intent.steps]}


def _step(step: Step) -> dict[str, Any]:
    return step.model_dump(by_alias=True)


# ---- messages --------------------------------------------------------------------------------------------------------


def _declaration(tool: Mapping[str, Any]) -> dict[str, Any]:
    description = "\n".join(line.strip() for line in tool.get("description", "").strip().splitlines())
    function = {"name": tool["name"], "description": description, "parameters": tool["inputSchema"]}
    return {"type": "function", "function": function}


def _called(made: ServerConversation, step: Sequence[Mapping[str, Any]]) -> None:
    """One message with the calls of a step, and a result for each."""
    calls, results = [], []
    for call in step:
        arguments = json.dumps(call["arguments"], ensure_ascii=False)
        name = call["name"]
        id_ = f"functions.{name}:{len(made.gold)}"
        calls.append({"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}})
        results.append({"role": "tool", "tool_call_id": id_, "name": name, "content": call["text"]})
        made.gold.append((name, call["arguments"]))
        made.dependent += call["dependent"]
        made.errors += call["error"]
    made.messages += [{"role": "assistant", "content": "", "tool_calls": calls}, *results]


def _kind(steps: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    if any(call["error"] for step in steps for call in step):
        return "recovery"
    if len(steps) > 1:
        return "chain"
    return "parallel" if len(steps[0]) > 1 else "call"


def _spoken(text: str, later: bool, rng: Random) -> str:
    """With a word before or after it, or without; some users write no capitals."""
    if rng.random() < 0.25:
        start = rng.choice(SENTENCES["later" if later else "first"])
        text = start + (text[0].lower() + text[1:] if start.rstrip()[-1] not in ".!?" and text[1:2].islower() else text)
    if rng.random() < 0.12:
        text += " " + rng.choice(SENTENCES["after"])
    if rng.random() < 0.08 and text.split()[0].istitle():
        text = text[0].lower() + text[1:]
    return text
