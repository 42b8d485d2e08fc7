"""Who decides which trajectories are kept: checks on the final state first, an LLM for what can't be checked."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.chat.protocol import ChatClient, ChatRefusal, ChatRequest
from agents.conversations.tasks import Application, WorldTask, collateral, unmet
from agents.conversations.world import World
from agents.tools.spec import READ_ONLY
from k2model.chat.model_json import ModelJsonError, loads_arguments, loads_model_json


@dataclass(frozen=True)
class Judgement:
    """`success`, or what was wrong first, with one line of detail."""

    kept: bool
    verdict: str
    reason: str


def judge(
    app: Application,
    task: WorldTask,
    world: World,
    messages: Sequence[Mapping[str, Any]],
    stop: str,
    read_first: bool = False,
    detail: str = "",
) -> Judgement:
    """The checkable part: an answer, every criterion met, nothing else touched, only declared tools called.

    Args:
        read_first: the agent's policy says that it reads a record before it changes it.
        detail: of what stopped the conversation.
    """
    if stop != "answered":
        why = f"stopped by {stop}{': ' if detail else ''}{detail}"
        return Judgement(False, "refused" if stop == "refused" else "no_answer", why)
    calls = [call for message in messages for call in message.get("tool_calls") or []]
    for call in calls:
        if not _well_formed(call):
            return Judgement(False, "malformed_call", call["function"]["name"])
        if call["function"]["name"] not in task.tools:
            return Judgement(False, "undeclared_tool", call["function"]["name"])
    answers = " ".join(
        str(m.get("content") or "") for m in messages if m["role"] == "assistant" and not m.get("tool_calls")
    )
    missed = unmet(task, world, answers)
    if missed:
        return Judgement(False, "criterion_missed", missed[0])
    touched = collateral(app, task, world)
    if touched:
        return Judgement(False, "collateral_change", ", ".join(touched))
    tried = " ".join(call["function"]["arguments"] for call in calls)
    untried = [entity_id for entity_id in task.locked if f'"{entity_id}"' not in tried]
    if untried:
        return Judgement(False, "not_tried", f"{untried[0]} was never tried")
    limit = task.rubric()["at_most_calls"]
    if len(calls) > limit:
        return Judgement(False, "too_many_calls", f"{len(calls)} calls, at most {limit}")
    for reported in re.findall(r"could not do one thing: ([^.]*)", answers):
        if not any(entity_id in reported for entity_id in task.locked):
            return Judgement(False, "false_report", f"the answer reports a failure although all is done: {reported}")
    unread = _changed_unread(app, calls) if read_first else ""
    if unread:
        return Judgement(False, "policy_broken", f"{unread} was changed before it was read")
    return Judgement(True, "success", "every criterion is met")


def _well_formed(call: Mapping[str, Any]) -> bool:
    try:
        loads_arguments(call["function"]["arguments"])
    except ModelJsonError:
        return False
    return True


def _changed_unread(app: Application, calls: Sequence[Mapping[str, Any]]) -> str:
    """The first record that a call changes and no earlier call read, or an empty text."""
    read: set[str] = set()
    for call in calls:
        tool = app.tools[call["function"]["name"]]
        entity_id = str(loads_arguments(call["function"]["arguments"]).get("id", ""))
        if tool.action not in READ_ONLY and entity_id and entity_id not in read:
            return entity_id
        read.add(entity_id)
    return ""


_QUESTION = """Rubric: the assistant was polite, clear, and did not claim anything that the tool results do not show.
Conversation:
{conversation}
Answer with JSON: {{"good": true or false, "reason": "..."}}"""
_WORD_QUESTION = """Conversation of an assistant with tools:
{conversation}
Was the assistant polite and clear, and does it claim only what the results show? Answer with one word, yes or no."""
NO_JUDGE = "llm_judge_refused"
SHOWN = 3_000  # characters of a conversation that a judge reads, half from its beginning and half from its end

_SCHEMA = {
    "type": "object",
    "properties": {"good": {"type": "boolean"}, "reason": {"type": "string"}},
    "required": ["good", "reason"],
}


def ask_llm(
    client: ChatClient, conversations: Sequence[Sequence[Mapping[str, Any]]], schema: bool = True
) -> list[Judgement]:
    """The part that no state check covers, for trajectories that passed those.

    A reply that can't be read, or none at all, keeps nothing.

    Args:
        schema: the client takes a response schema; a client without one is asked for a word.
    """
    requests = []
    for messages in conversations:
        lines = [f"{m['role']}: {m.get('content') or json.dumps(m.get('tool_calls', ''))}" for m in messages]
        text = "\n".join(lines)
        text = text if len(text) <= SHOWN else f"{text[: SHOWN // 2]}\n...\n{text[-SHOWN // 2 :]}"
        if schema:
            question = ({"role": "user", "content": _QUESTION.format(conversation=text)},)
            requests.append(ChatRequest(question, max_tokens=128, response_schema=_SCHEMA))
        else:
            question = ({"role": "user", "content": _WORD_QUESTION.format(conversation=text)},)
            requests.append(ChatRequest(question, max_tokens=8))
    answers = client.complete(requests) if requests else []
    read = _by_schema if schema else _by_word
    return [
        Judgement(False, NO_JUDGE, answer.reason) if isinstance(answer, ChatRefusal) else read(answer.text)
        for answer in answers
    ]


def _by_schema(text: str) -> Judgement:
    try:
        value = loads_model_json(text)
        good, reason = value["good"], str(value["reason"])
    except (ModelJsonError, KeyError, TypeError):
        return Judgement(False, "llm_judge_unreadable", text[:80])
    if not isinstance(good, bool):
        return Judgement(False, "llm_judge_unreadable", text[:80])
    return Judgement(good, "success" if good else "llm_judge", reason)


def _by_word(text: str) -> Judgement:
    match = re.match(r"\W*(yes|no)\b", text.lower())
    if match is None:
        return Judgement(False, "llm_judge_unreadable", text[:80])
    return Judgement(match[1] == "yes", "success" if match[1] == "yes" else "llm_judge", text.strip()[:80])
