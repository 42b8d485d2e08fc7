"""Whether the rules of the desk were kept, each at the moment of the call that it is about."""

from typing import Any

from agents.conversations.acts import asks_to_confirm, questions
from agents.conversations.facts import Facts, facts_of
from agents.conversations.held import Held, Problems, texts_of
from agents.conversations.said import is_said, stands
from agents.conversations.users import NO, YES
from agents.worlds.application import Action, Policy
from agents.worlds.simulator import Done


def policy_problems(held: Held) -> Problems:
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
            [text for text in texts_of(held.messages[at:until], "assistant") if not questions(text)]
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
    read = any(str(value) in text and owner in text for text in texts_of(before, "tool"))
    return read and is_said(value, texts_of(before, "user"), held.surface.app.today)


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
