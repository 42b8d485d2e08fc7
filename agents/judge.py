"""Who decides which trajectories are kept: checks on the final state first, an LLM for what can't be checked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.chat.protocol import ChatClient, ChatRequest
from agents.tasks import Application, Task, collateral, unmet
from agents.world.world import World


@dataclass(frozen=True)
class Verdict:
    """`success`, or what was wrong first, with one line of detail."""

    kept: bool
    verdict: str
    reason: str


def judge(app: Application, task: Task, world: World, messages: Sequence[Mapping[str, Any]], stop: str) -> Verdict:
    """The checkable part: an answer, every criterion met, nothing else touched, only declared tools called."""
    if stop != "answered":
        return Verdict(False, "no_answer", f"stopped by {stop}")
    calls = [call for message in messages for call in message.get("tool_calls") or []]
    for call in calls:
        if call["function"]["name"] not in task.tools:
            return Verdict(False, "undeclared_tool", call["function"]["name"])
    answers = " ".join(
        str(m.get("content") or "") for m in messages if m["role"] == "assistant" and not m.get("tool_calls")
    )
    missed = unmet(task, world, answers)
    if missed:
        return Verdict(False, "criterion_missed", missed[0])
    touched = collateral(app, task, world)
    if touched:
        return Verdict(False, "collateral_change", ", ".join(touched))
    limit = task.rubric()["at_most_calls"]
    if len(calls) > limit:
        return Verdict(False, "too_many_calls", f"{len(calls)} calls, at most {limit}")
    if "could not do" in answers:
        return Verdict(False, "false_report", "the answer reports a failure although all is done")
    return Verdict(True, "success", "every criterion is met")


_QUESTION = """Rubric: the assistant was polite, clear, and did not claim anything that the tool results do not show.
Conversation:
{conversation}
Answer with JSON: {{"good": true or false, "reason": "..."}}"""

_SCHEMA = {
    "type": "object",
    "properties": {"good": {"type": "boolean"}, "reason": {"type": "string"}},
    "required": ["good", "reason"],
}


def ask_llm(client: ChatClient, conversations: Sequence[Sequence[Mapping[str, Any]]]) -> list[Verdict]:
    """The part that no state check covers, for trajectories that passed those. An unreadable reply keeps nothing."""
    requests = []
    for messages in conversations:
        lines = [f"{m['role']}: {m.get('content') or json.dumps(m.get('tool_calls', ''))}" for m in messages]
        text = _QUESTION.format(conversation="\n".join(lines))
        requests.append(
            ChatRequest(messages=({"role": "user", "content": text},), max_tokens=128, response_schema=_SCHEMA)
        )
    found = []
    for response in client.complete(requests):
        try:
            said = json.loads(response.text)
            found.append(Verdict(bool(said["good"]), "success" if said["good"] else "llm_judge", str(said["reason"])))
        except (json.JSONDecodeError, KeyError, TypeError):
            found.append(Verdict(False, "llm_judge_unreadable", response.text[:80]))
    return found
