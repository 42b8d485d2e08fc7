"""Who decides which conversations are kept: the formal criteria of a task's rubric, by rule.

Formal are the final state, calls that must and must not happen, the desk's policies at the moment of each call, the
values that the user must have been told, what is owned up to, and the number of calls.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from agents.conversations.acts import asks_to_confirm, questions
from agents.conversations.facts import Facts, facts_of
from agents.conversations.reports import claims, leaves, refuses, sentences, without
from agents.conversations.said import is_said, stands
from agents.conversations.task import Goal, WorldTask, gold_world
from agents.conversations.users import NO, YES
from agents.loop.loop import NOT_RUN
from agents.worlds.application import Action, Policy
from agents.worlds.simulator import Done
from agents.worlds.surface import Surface
from agents.worlds.world import World
from k2model.chat.model_json import ModelJsonError, loads_arguments

Message = Mapping[str, Any]
Problems = Iterator[tuple[str, str]]  # verdict, and what is wrong


@dataclass(frozen=True)
class Judgement:
    """`success`, or the first criterion that is not met, with one line of detail that quotes what was wrong."""

    kept: bool
    verdict: str
    reason: str


@dataclass(frozen=True)
class Held:
    """A conversation as it was held.

    Attributes:
        log: what the world did, a call each. world: as it is in the end.
        asked_at: the message in which the user told a goal, by the goal's number.
    """

    surface: Surface
    task: WorldTask
    messages: Sequence[Message]
    log: Sequence[Done]
    world: World
    asked_at: Mapping[int, int]

    @cached_property
    def start(self) -> World:
        return World.generate(self.surface.app, self.task.world_seed)

    @cached_property
    def made(self) -> list[tuple[int, Done]]:
        """(message, what the world did) of every call that reached the world, in order."""
        return calls_at(self.messages, self.log)


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
    yield from _policies(held)
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


# ---- policies -------------------------------------------------------------------------------------------------------


def calls_at(messages: Sequence[Message], log: Sequence[Done]) -> list[tuple[int, Done]]:
    """(message, what the world did) of every call that reached the world, in order."""
    results = {message["tool_call_id"]: str(message["content"]) for message in messages if message["role"] == "tool"}
    left = iter(log)
    return [
        (at, next(left))
        for at, message in enumerate(messages)
        for call in message.get("tool_calls") or []
        if not results.get(call["id"], NOT_RUN).startswith(NOT_RUN)
    ]


def _policies(held: Held) -> Problems:
    times: dict[str, int] = {}
    for number, (at, done) in enumerate(held.made):
        if done.outcome is None or done.tool is None:
            continue
        action = done.tool.action
        for banning in done.banned:
            yield "policy_broken", f"{banning}: {action.name} at message {at}"
        for rule_id, owner in done.owners.items():
            if not _identified(held, rule_id, owner, at):
                yield "policy_broken", f"{rule_id}: {action.name} at message {at} without knowing who asks"
        for rule in app_rules(held, action):
            times[rule.id] = times.get(rule.id, 0) + 1
            if problem := _broken(held, rule, number, times[rule.id]):
                yield "policy_broken", f"{rule.id}: {problem}"


def app_rules(held: Held, action: Action) -> list[Policy]:
    return [rule for rule in held.surface.app.policies if action.name in rule.actions]


def _broken(held: Held, rule: Policy, number: int, times: int) -> str:
    """How the call with this number breaks a rule that `times` of its calls came under, or an empty text."""
    at, done = held.made[number]
    assert done.tool is not None and done.outcome is not None
    action = done.tool.action
    if rule.kind == "first":
        key = next(done.arguments[name] for name, target in action.refs.items() if target == rule.entity)
        if not any(_shows(earlier, rule.value, key) for when, earlier in held.made if when < at):
            return f"{key} was not read before message {at}"
    elif rule.kind == "confirm" and not _confirmed(held, done, at):
        return f"{action.name} at message {at} without a yes"
    elif rule.kind == "most" and times > rule.times:
        return f"{action.name} at message {at} is one too many"
    elif rule.kind == "tell":
        later = [when for when, other in held.made if other.tool and other.tool.action == action and when > at]
        reports = [
            [text for text in _texts(held.messages[at:until], "assistant") if not questions(text)]
            for until in [*later, len(held.messages)]
        ]
        texts = next((report for report in reports if report), [])  # of several changes in a row all is told at the end
        value = done.outcome.lets.get(rule.value)
        if not is_said(value, texts, held.surface.app.today):
            return f"the user was not told {value}"
    return ""


def _shows(done: Done, action: str, key: str) -> bool:
    shown = done.outcome is not None and key in done.outcome.ids
    return shown and done.tool is not None and done.tool.action.name == action


def _identified(held: Held, rule_id: str, owner: str, at: int) -> bool:
    """Whether the user gave the value on record before the message, and the agent had read it."""
    rule = next(policy for policy in held.surface.app.policies if policy.id == rule_id)
    row = held.start.tables[rule.entity].get(owner) or held.world.tables[rule.entity].get(owner) or {}
    value = row.get(rule.value)
    if value is None:
        return False
    before = held.messages[:at]
    read = any(str(value) in text and owner in text for text in _texts(before, "tool"))
    return read and is_said(value, _texts(before, "user"), held.surface.app.today)


def _confirmed(held: Held, done: Done, at: int) -> bool:
    """Whether the agent asked for a yes to this change before the message, and the user said it."""
    for question, answer in zip(held.messages[:at], held.messages[1:at], strict=False):
        asks = question["role"] == "assistant" and not question.get("tool_calls")
        text = str(question.get("content") or "")
        if not asks or answer["role"] != "user" or not any(map(asks_to_confirm, questions(text))):
            continue
        said = str(answer["content"])
        if YES.search(said) and not NO.search(said) and _names(held, done, text):
            return True
    return False


def _names(held: Held, done: Done, text: str) -> bool:
    """Whether a text names every record of a change, by its id, the user's words or its label; of a change without
    records one of its values."""
    assert done.tool is not None
    low, action = text.casefold(), done.tool.action
    spoken = {
        (reference.id, reference.text.casefold())
        for goal in held.task.goals
        for wish in (goal, goal.fallback)
        if wish is not None
        for reference in wish.references.values()
    }
    ids = [str(done.arguments[name]) for name in action.refs if done.arguments.get(name) is not None]
    if not ids:
        values = [value for value in done.arguments.values() if value is not None]
        return not values or any(is_said(value, [text], held.surface.app.today) for value in values)
    for entity, key in (
        (action.refs[name], str(done.arguments[name])) for name in action.refs if name in done.arguments
    ):
        if (
            stands(key.casefold(), low)
            or any(at == key and said in low for at, said in spoken)
            or key not in held.start.tables[entity]
        ):
            continue
        known = _flat(facts_of(held.start, entity, key))
        if not known or not all(is_said(value, [text], held.surface.app.today) for value in known):
            return False
    return True


def _flat(facts: Facts) -> list[Any]:
    return [*facts.values.values(), *(value for below in facts.refs.values() for value in _flat(below))]


def _texts(messages: Sequence[Message], role: str) -> list[str]:
    return [str(m.get("content") or "") for m in messages if m["role"] == role and not m.get("tool_calls")]


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
        texts = _texts(held.messages[since:], "assistant")
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
        if any(not text.strip() for text in _texts(window, "assistant")):
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
