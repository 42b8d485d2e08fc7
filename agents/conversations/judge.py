"""Who decides which conversations are kept: the formal criteria of a task's rubric, by rule.

Formal are the final state, calls that must and must not happen, the desk's policies at the moment of each call, the
values that the user must have been told, what is owned up to, and the number of calls.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.conversations.acts import questions
from agents.conversations.held import Held, Message, Problems, texts_of
from agents.conversations.policies import policy_problems
from agents.conversations.reports import claims, leaves, refuses, sentences, without
from agents.conversations.said import is_said
from agents.conversations.task import Goal, gold_world
from agents.worlds.application import Action, Policy
from agents.worlds.world import World
from k2model.chat.model_json import ModelJsonError, loads_arguments


@dataclass(frozen=True)
class Judgement:
    """`success`, or the first criterion that is not met, with one line of detail that quotes what was wrong."""

    kept: bool
    verdict: str
    reason: str


def judge(held: Held, stop: str, detail: str = "") -> Judgement:
    """Every formal criterion of the task's rubric.

    Args:
        stop: why the conversation ended, `answered` when the user was served to the end. detail: of another stop.
    """
    if stop != "answered":
        why = f"stopped by {stop}{': ' if detail else ''}{detail}"
        return Judgement(False, "refused" if stop == "refused" else "no_answer", why)
    for verdict, reason in _problems(held):
        return Judgement(False, verdict, reason)
    return Judgement(True, "success", "every criterion is met")


def _problems(held: Held) -> Problems:
    yield from _calls_well_formed(held)
    yield from policy_problems(held)
    yield from _state(held)
    yield from _called(held)
    yield from _told(held)
    yield from _owned_up(held)
    calls = sum(len(message.get("tool_calls") or []) for message in held.messages)
    if calls > held.task.at_most:
        yield "too_many_calls", f"{calls} calls, at most {held.task.at_most}"


def _calls_well_formed(held: Held) -> Problems:
    for message in held.messages:
        for call in message.get("tool_calls") or []:
            name = call["function"]["name"]
            if name not in held.task.tools:
                yield "undeclared_tool", name
            try:
                loads_arguments(call["function"]["arguments"])
            except ModelJsonError:
                yield "malformed_call", name


# ---- state ----------------------------------------------------------------------------------------------------------


def _state(held: Held) -> Problems:
    """Records that are not as they must be: what a wish should have changed, then what nobody wished for."""
    gold = gold_world(held.surface, held.task)
    for entity, table in gold.tables.items():
        before, now = held.start.tables[entity], held.world.tables[entity]
        for key in sorted(before):
            if table.get(key) != now.get(key):
                kind = "collateral_change" if table.get(key) == before[key] else "criterion_missed"
                yield kind, f"{key} must be {table.get(key)}, it is {now.get(key)}"
        wanted = [_content(gold, held.start, entity, key) for key in table if key not in before]
        made = [_content(held.world, held.start, entity, key) for key in now if key not in before]
        for row in wanted:
            if row not in made:
                yield "criterion_missed", f"a new {entity} {row} is missing"
            else:
                made.remove(row)
        for row in made:
            yield "collateral_change", f"nobody wanted a new {entity} {row}"


def _content(world: World, start: World, entity: str, key: str) -> str:
    """A new record without its id, as JSON; new ones that it refers to by their content."""
    fields = world.app.entities[entity].fields
    row = {}
    for name, value in world.tables[entity][key].items():
        target = fields[name].target
        new = bool(target) and value is not None and value not in start.tables[target]
        row[name] = _content(world, start, target, value) if new and value in world.tables[target] else value
    return json.dumps(row, sort_keys=True)


def _called(held: Held) -> Problems:
    """Changes that must happen, called for with the arguments that were said, also where no record holds them."""
    for goal in held.task.goals:
        wanted = goal.wanted()
        if wanted is None:
            continue
        action = held.surface.app.actions[wanted.action]
        want = _whole(held, action, wanted.stored())
        calls = [
            _whole(held, action, done.arguments)
            for _, done in held.made
            if done.outcome is not None and done.tool is not None and done.tool.action == action
        ]
        if want not in calls:
            yield "criterion_missed", f"{action.name} was not called with {want}"


def _whole(held: Held, action: Action, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with their defaults; a record that is new counts whatever its id."""
    whole = {parameter.name: stored.get(parameter.name, parameter.default) for parameter in action.parameters}
    for name, target in action.refs.items():
        if whole[name] is not None and whole[name] not in held.start.tables[target]:
            whole[name] = "new"
    return whole


# ---- what the user was told -----------------------------------------------------------------------------------------


def _told(held: Held) -> Problems:
    for number, goal in enumerate(held.task.goals):
        since = held.asked_at.get(number)
        if since is None:
            yield "criterion_missed", f"the conversation ended before the user could say: {goal.says}"
            continue
        texts = texts_of(held.messages[since:], "assistant")
        for value in goal.tells:
            if not is_said(value, texts, held.surface.app.today):
                yield "not_told", f"the user was not told {value}"


OWN = re.compile(r"\b(?:refus|den[iy]|declin|reject|forbid|prohibit|fail|turn|down|block|differ)\w*")
NOT_DONE = ("fails", "forbidden", "stranger", "outside")


def _owned_up(held: Held) -> Problems:
    """What is not done must be said to be so, once for each wish; what is done must not."""
    repeated = [wish.says for goal in held.task.goals for wish in (goal, goal.fallback) if wish is not None]
    places = sorted(set(held.asked_at.values()))
    for place, until in zip(places, [*places[1:], len(held.messages)], strict=True):
        goals = [goal for number, goal in enumerate(held.task.goals) if held.asked_at.get(number) == place]
        window = held.messages[place:until]
        if any(not text.strip() for text in texts_of(window, "assistant")):
            yield "no_answer", f"an empty message after message {place}"
        texts = _without_goodbye(window)
        slips = [goal.slip for goal in goals if goal.slip]
        repeats = [*repeated, *_no_in_asks(held, goals)]
        parts = sentences([without(text, repeats) for text in texts if not questions(text)])
        parts = [part for part in parts if not any(slip in part for slip in slips)]
        yield from _reports(goals, parts, _own_words(held, goals), held.surface.app.policies)


def _without_goodbye(window: Sequence[Message]) -> list[str]:
    """What the agent says in a turn, but for its answer to thanks: to a message that answers no question."""
    texts: list[str] = []
    for before, message in zip(window, window[1:], strict=False):
        if message["role"] != "assistant" or message.get("tool_calls"):
            continue
        if before["role"] == "user" and texts and not questions(texts[-1]):
            continue
        texts.append(str(message.get("content") or ""))
    return texts


def _no_in_asks(held: Held, goals: Sequence[Goal]) -> list[str]:
    """What of the goals' own words sounds like a refusal wherever it is repeated: `, they can't make it`."""
    actions = held.surface.app.actions
    wishes = [wish for goal in goals for wish in (goal, goal.fallback) if wish is not None and wish.action]
    texts = [ask.text for wish in wishes for ask in actions[wish.action].asks]
    texts += [done.text for wish in wishes if (done := actions[wish.action].done) is not None]
    chunks = {chunk.strip(" ,.;:") for text in texts for chunk in re.split(r"\{[\w.]+\}|[,;:]", text)}
    chunks |= {str(value) for goal in goals for value in goal.tells}
    return sorted((chunk for chunk in chunks if refuses(chunk)), key=lambda chunk: (-len(chunk), chunk))


def _own_words(held: Held, goals: Sequence[Goal]) -> frozenset[str]:
    """Words that elsewhere refuse, but in which the goals' actions are asked for."""
    actions = [held.surface.app.actions[goal.action] for goal in goals if goal.action]
    return frozenset(OWN.findall(" ".join(ask.text.lower() for action in actions for ask in action.asks)))


def _reports(goals: Sequence[Goal], parts: Sequence[str], own: frozenset[str], rules: Sequence[Policy]) -> Problems:
    """Whether the sentences of a turn's answers own up to what is not done, and to no more.

    A wish that the user took back himself must be said to be left.
    """
    undone = [goal for goal in goals if goal.expected in NOT_DONE]
    declined = [goal for goal in goals if goal.expected == "declined"]
    done = [goal for goal in goals if goal.expected in ("done", "told")]
    owned = sum(refuses(part, own) for part in parts)
    if owned < len(undone):
        yield "false_report", f"the user was not told that this is not done: {undone[-1].says}"
    if sum(refuses(part, own) or leaves(part) for part in parts) < len(undone) + len(declined):
        yield "false_report", f"the user was not told that this is left: {(declined or undone)[-1].says}"
    actions = {goal.action for goal in done}
    tells = sum(rule.kind == "tell" and not actions.isdisjoint(rule.actions) for rule in rules)
    if done and owned > len(undone) + len(declined) and len(parts) - owned < len(done) + tells:
        yield "false_report", f"this was done: {done[-1].says}, but the user was told: {parts[-1]}"
    fallbacks = sum(goal.fallback is not None for goal in goals)
    if sum(claims(part, own) for part in parts) > len(done) + fallbacks:
        yield "false_report", f"more was reported as done than was: {parts[-1]}"
