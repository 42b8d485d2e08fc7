"""The rules of the judge against conversations of an agent that shares no code with the planner.

Good conversations are right by construction, in words and ways that the planner does not have; bad ones hold one
planted defect each. A kind is a `Clerk`: the base class serves every wish as it must be served, its subclasses change
one step. Calls are really made in the task's world and the user answers by himself, so that all results are true.
"""

import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from itertools import islice
from random import Random
from typing import Any

import pytest

from agents.conversations.agents import Agent
from agents.conversations.facts import Reference
from agents.conversations.judge import Judgement
from agents.conversations.making import NoTask, make_task
from agents.conversations.task import Goal, gold_world
from agents.conversations.trajectory import QUIET, Case, Conversation, simulate
from agents.conversations.users import PERSONAS
from agents.loop.loop import Refused as ModelRefused
from agents.loop.loop import Truncated
from agents.worlds.application import Action, Application, Policy
from agents.worlds.expression import ExpressionError
from agents.worlds.fields import FieldType, draw
from agents.worlds.reading import authored
from agents.worlds.simulator import REBUILDING, UNAVAILABLE, Noise, banned, owner_of
from agents.worlds.surface import SCALES, Surface, surface
from agents.worlds.world import Refused, World

WANTED, FEWEST = 40, 15  # conversations of a kind
TRIES = 360  # settings in which they are looked for
DAY, TIME, PHONE = re.compile(r"\d{4}-\d\d-\d\d"), re.compile(r"\d\d:\d\d"), re.compile(r"\+[\d ]+")
NEGATIVE = ("fails", "forbidden", "stranger", "outside")
MONTHS = "January February March April May June July August September October November December".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()

Message = dict[str, Any]
Serving = Generator[Message | Exception, list[Mapping[str, Any]], Any]

PLAIN: Mapping[str, Sequence[str]] = {
    "confirm": ["I would {what}. Shall I go ahead?", "You want me to {what}. Is that right?"],
    "which": ["Which {noun} do you mean?"],
    "identify": ["May I have the {field} on record, please?"],
    "wrong_id": ["There is no {slip} here. Could you check it?"],
    "done": ["Done: {what}.", "I did that: {what}."],
    "told": ["The {field} of {about} is {value}.", "The {field} is {value}."],
    "counted": ["There are {value}.", "The number is {value}."],
    "totalled": ["Together that makes {value}.", "The total is {value}."],
    "after": ["The {field} is {value}."],
    "forbidden": ["I can't do that: {why}.", "I am not allowed to do that; {why}."],
    "stranger": ["I can't do that, the {field} does not match our records."],
    "failed": ["I could not do that: {why}.", "That was not possible: {why}."],
    "outside": ["I can't do that here, I have no tool for it."],
    "declined": ["All right, I won't do it.", "Fine, nothing was changed."],
    "instead": ["Instead I did the other: {done}"],
    "bye": ["You're welcome.", "Glad to help."],
}
OTHER: Mapping[str, Sequence[str]] = {
    "confirm": [
        "Just to double-check, you'd like me to {what}, right?",
        "Here is what happens next: {what}. Are you happy with that?",
        "Let me repeat it before anything happens: {what}. Correct?",
        "If I understand you well, I am to {what}. Is it fine with you if I do it now?",
        "Ready when you are: {what}. May I?",
        "I have everything together to {what}. Do you agree?",
        "Please confirm: {what}.",
        "The plan is to {what}. Just say yes and I'll start.",
    ],
    "which": ["I see more than one. Which {noun} are you thinking of?", "Happy to help! What {noun} is it, exactly?"],
    "identify": [
        "For your security, would you mind giving me the {field} we have for you?",
        "Happy to! First, though, what {field} did you leave with us?",
    ],
    "done": [
        "All set! {What}: taken care of.",
        "Good news, it went through ({what}).",
        "I've taken care of it for you: {what}.",
        "Consider it settled: {what}. Let me know if there's anything else.",
        "{What} – that's in the system now.",
    ],
    "told": [
        "I've had a look at {about} for you: the {field} says {value}.",
        "Thanks for waiting! Our records show {value} as the {field}.",
        "You'll find {value} under {field}.",
        "**{field}**: {value}",
    ],
    "counted": ["I went through the list and came to {value}.", "That makes {value} altogether.", "{value}."],
    "totalled": ["Summing everything up, I get {value}.", "{value} in total.", "All of them add up to {value}!"],
    "after": ["For your information, the {field} comes to {value}.", "Please note the {field}: {value}."],
    "forbidden": [
        "Unfortunately that's against our policy: {why}.",
        "I'm afraid this cannot be done: {why}.",
        "I'm afraid our rules stand in the way: {why}.",
        "Our policy rules this out, as {why}.",
        "I'd love to help, but my hands are tied: {why}.",
        "Regrettably I have to turn this down: {why}.",
        "I must decline, because {why}.",
        "This has to stay as it is, since {why}.",
    ],
    "stranger": [
        "Unfortunately the {field} differs from the one we hold, so everything stays as it is.",
        "I'm afraid our records show another {field}. For security reasons I have to stop here.",
        "The {field} you gave doesn't match, so I can't go on.",
        "As our records hold a different {field}, I must decline this.",
    ],
    "failed": [
        "Unfortunately the system rejected it: {why}.",
        "I'm afraid it didn't go through: {why}.",
        "I tried, but {why}.",
        "That was turned down: {why}.",
        "It turns out that this is out of the question: {why}.",
        "I wasn't able to complete that, as {why}.",
    ],
    "outside": [
        "I'm afraid that's beyond what this desk handles.",
        "Unfortunately this is outside my remit.",
        "That is something for another department, please ask there.",
        "I only look after this desk, so you'd have to turn to somebody else for that.",
        "This isn't something I can help with.",
    ],
    "declined": [
        "All right, it stays as it is.",
        "Understood, everything is unchanged.",
        "Of course, I'll leave it alone.",
        "Thanks for telling me. I've kept everything the way it was.",
    ],
    "yes": [
        "Sure, go ahead.",
        "Absolutely.",
        "Yes please, that's right.",
        "That's fine, go ahead.",
        "Sounds good.",
        "Of course.",
        "Please do.",
        "Perfect, do it.",
        "Alright, thanks.",
        "Exactly.",
        "That's correct.",
        "Fine by me.",
        "I agree.",
    ],
    "refuse": [
        "Please don't.",
        "I've changed my mind, leave it.",
        "Better not.",
        "Actually, forget it.",
        "Rather not.",
    ],
}
TRAPS = (  # a success in words with a no in them
    "No problem at all, it's done: {what}.",
    "Sorry for the wait. Done: {what}.",
    "I couldn't be happier to tell you that it's done: {what}.",
    "Done: {what}. There is nothing else that you need to do, and no fee.",
    "That was not difficult. It's all done: {what}.",
    "It's done: {what}. Don't hesitate to come back.",
)


# ---- what is served -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """What a task is made from. under: kinds of rules; only actions under all of them can change something. `scaled`:
    actions of which an argument has another unit than the record."""

    application: str
    shape: int
    seed: int
    goals: int
    persona: str
    under: str = ""


def settings(kind: "type[Clerk]") -> Iterator[Setting]:
    apps = [name for name, app in sorted(authored().items()) if able(app, kind)]
    for seed in range(TRIES):
        turn = seed // len(apps)
        who = kind.persona or PERSONAS[seed % len(PERSONAS)]
        yield Setting(apps[seed % len(apps)], (seed + turn) % kind.shapes, seed, 1 + (seed + turn) % 3, who, kind.under)


def able(app: Application, kind: "type[Clerk]") -> bool:
    """Whether the application has what the kind needs."""
    has = {policy.kind for policy in app.policies}
    has |= {"scaled" for action in app.writes for p in action.parameters if p.type.unit in SCALES}
    types = {field.base for entity in app.entities.values() for field in entity.fields.values()}
    return has >= set(kind.under.split()) and (not kind.asks or bool(types & set(kind.asks)))


def offered(desk: Surface, under: str) -> set[str]:
    """Actions that change something and are under these rules."""
    names = {action.name for action in desk.app.writes}
    for kind in under.split():
        if kind == "scaled":
            names &= {name for name, tool in desk.by_action.items() if any(a.scale > 1 for a in tool.arguments)}
        else:
            names &= {name for policy in desk.app.policies if policy.kind == kind for name in policy.actions}
    return names


@cache
def case_of(setting: Setting) -> Case | None:
    desk = surface(setting.application, setting.shape)
    changing = offered(desk, setting.under)
    actions = tuple(name for name, action in desk.app.actions.items() if action.reads or name in changing)
    if not changing:
        return None
    try:
        task = make_task(desk, setting.seed, setting.goals, setting.persona, actions=actions).task
    except NoTask:
        return None
    agent = Agent("clerk", "You serve at the desk.", setting.application, setting.shape, actions)
    return Case(desk, task, agent, setting.persona, setting.seed, QUIET)


class Guest:
    """The scripted user, who also understands questions in other words and answers in his own.

    Attributes:
        hint: the agent's next message in words that the scripted user knows. forced: his next answer, word for word.
        credential: (who he is, the same in another form), to be said in this form.
    """

    def __init__(self, case: Case, rng: Random, other: frozenset[str]) -> None:
        self.scripted, self.rng, self.other = case.user(), rng, other
        self.hint = self.forced = self.act = ""
        self.credential = ("", "")

    @property
    def asked(self) -> tuple[int, ...]:
        return self.scripted.asked

    def opening(self) -> str:
        return self.scripted.opening()

    def reply(self, said: str) -> str | None:
        if self.forced:
            answer, self.forced, self.hint, self.scripted.asked = self.forced, "", "", ()
            return answer
        heard, self.hint = self.hint or "All right.", ""
        text = self.scripted.reply(heard)
        self.act = self.scripted.act
        if text is None:
            return None
        if self.act == "affirm" and "yes" in self.other:
            return self.rng.choice(OTHER["yes"])
        if self.act == "refuse" and "refuse" in self.other:
            return self.rng.choice(OTHER["refuse"])
        if self.act == "change" and "yes" in self.other:
            return re.sub("^Yes", self.rng.choice(("Sure", "Fine", "Alright", "That's right")), text)
        if self.act == "identify" and self.credential[0]:
            return text.replace(*self.credential)
        return text


class Unservable(Exception):
    """The wish can't be served in this way; the setting does not count."""


# ---- the agent ------------------------------------------------------------------------------------------------------


class Clerk:
    """Serves every wish as it must be.

    Attributes:
        good: whether the judge must keep it. under, shapes, persona: of the settings. noise: of the world.
        other: what is said in `OTHER` words. asks: types of a field of which the last wish becomes a question.
        target: number of the goal in which the kind's step lies. planted: whether that step was taken.
    """

    good = True
    under = ""
    shapes = 6
    persona = ""
    noise = QUIET
    other: frozenset[str] = frozenset()
    asks: tuple[str, ...] = ()
    planted = False

    def __init__(self, case: Case, guest: Guest, conversation: Conversation, rng: Random, target: int) -> None:
        self.case, self.guest, self.conversation, self.rng, self.target = case, guest, conversation, rng, target
        self.app, self.task, self.world = case.surface.app, case.task, conversation.world
        self.declared = {case.surface.tools[name].action.name for name in case.task.tools}
        self.row: dict[str, Any] = {}  # read last
        self.seen: set[str] = set()  # ids in results
        self.shown: set[tuple[str, str]] = set()  # (action, id) of reading one record
        self.ids: dict[str, str] = {}  # of new records: as they would be with every wish in order, and as they are
        gold = World.generate(self.app, case.task.world_seed)
        self.new: dict[int, str] = {}
        for number, goal in enumerate(case.task.goals):
            wanted = goal.wanted()
            if wanted is not None:
                self.new[number] = gold.run(self.app.actions[wanted.action], wanted.stored()).created

    # ---- which conversations -----------------------------------------------------------------------------------------

    @classmethod
    def derived(cls, case: Case, rng: Random) -> Case | None:
        """The case that is held; None where the kind has no place in it."""
        return with_question(case, rng, cls.asks) if cls.asks else case

    @staticmethod
    def fits(app: Application, goal: Goal) -> bool:
        """Whether the kind's step can lie in this goal."""
        return True

    @classmethod
    def targets(cls, case: Case) -> list[int]:
        """Numbers of the goals in which the step can lie."""
        return [number for number, goal in enumerate(case.task.goals) if cls.fits(case.surface.app, goal)]

    def counts(self) -> bool:
        """Whether the conversation, now at its end, is one of the kind."""
        n_calls = sum(len(message.get("tool_calls") or []) for message in self.conversation.messages)
        return self.planted and (not self.good or n_calls <= self.task.at_most)

    # ---- talking -----------------------------------------------------------------------------------------------------

    def serve(self) -> Serving:
        while True:
            numbers = self.guest.asked
            if numbers:
                yield from self.turn(numbers)
            else:
                yield from self.say(self.words("bye"))

    def turn(self, numbers: Sequence[int]) -> Serving:
        texts = []
        for number in self.order(numbers):
            texts.append((yield from self.wish(number)))
        yield from self.answer(" ".join(text for text in texts if text))

    def order(self, numbers: Sequence[int]) -> Sequence[int]:
        return numbers

    def answer(self, text: str) -> Serving:
        yield from self.say(text)

    def words(self, kind: str, **slots: str) -> str:
        text = self.rng.choice((OTHER if kind in self.other else PLAIN)[kind])
        for name, value in slots.items():
            text = text.replace("{" + name + "}", value)
        return text.replace("{What}", slots.get("what", "")[:1].upper() + slots.get("what", "")[1:])

    def say(self, text: str) -> Serving:
        """A message to the user; his answer."""
        given = yield {"role": "assistant", "content": text}
        return str(given[-1]["content"])

    def ask(self, text: str, hint: str) -> Serving:
        self.guest.hint = hint
        answer = yield from self.say(text)
        if self.guest.asked:
            raise Unservable("the user went on instead of answering")
        return answer

    def calls(self, *made: tuple[str, Mapping[str, Any]]) -> Serving:
        """Calls in one message, by action and stored values; their results."""
        tools = [self.case.surface.by_action[action] for action, _ in made]
        results = yield from self.raw(*(
            (tool.name, json.dumps(tool.written(stored), ensure_ascii=False))
            for tool, (_, stored) in zip(tools, made, strict=True)
        ))  # fmt: skip
        for (action, stored), result in zip(made, results, strict=True):
            if "error" in result:
                continue
            self.seen |= {row["id"] for row in self.rows(action, result) if "id" in row}
            if self.app.actions[action].shows:
                self.shown.add((action, *map(str, stored.values())))  # type: ignore[arg-type]
        return results

    def raw(self, *made: tuple[str, str]) -> Serving:
        """Calls as they are written, by name and text of the arguments."""
        given = yield {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": str(number), "type": "function", "function": {"name": name, "arguments": arguments}}
                for number, (name, arguments) in enumerate(made)
            ],
        }
        return [json.loads(str(message["content"])) for message in given]

    def rows(self, action: str, result: Mapping[str, Any]) -> list[dict[str, Any]]:
        if self.app.actions[action].finds:
            return next(value for value in result.values() if isinstance(value, list))
        return [dict(result)]

    # ---- reading -----------------------------------------------------------------------------------------------------

    def readings(self, entity: str, key: str) -> list[tuple[str, dict[str, Any]]]:
        """Declared calls that show a record, by action and stored values."""
        row = self.world.tables[entity].get(key)
        if row is None:
            return []
        calls: list[tuple[str, dict[str, Any]]] = []
        for action in self.app.actions.values():
            if action.name not in self.declared:
                continue
            if action.shows == entity:
                calls.append((action.name, {action.parameters[0].name: key}))
            if action.finds == entity:
                filled = {
                    p.name: row[p.name] for p in action.parameters if row[p.name] is not None and p.type.base != "list"
                }
                if filled and all(p.name in filled or p.optional for p in action.parameters):
                    calls.append((action.name, filled))
        return calls

    def read(self, entity: str, key: str) -> Serving:
        calls = self.readings(entity, key)
        if not calls:
            raise Unservable(f"no tool shows {key}")
        action, stored = self.rng.choice(calls)
        (result,) = yield from self.calls((action, stored))
        if "error" in result:
            raise Unservable(f"{key} can't be read")
        self.row = next(row for row in self.rows(action, result) if row["id"] == key)
        return self.row

    def look_up(self, references: Sequence[Reference]) -> Serving:
        """The records that the user speaks of, each in a message of its own."""
        for reference in references:
            key = self.key(reference.id)
            if key not in self.seen and self.readings(reference.entity, key):
                yield from self.read(reference.entity, key)

    def key(self, gold: str) -> str:
        return self.ids.get(gold, gold)

    # ---- wishes ------------------------------------------------------------------------------------------------------

    def wish(self, number: int) -> Serving:
        """Serves a goal; what the user is told about it."""
        goal = self.task.goals[number]
        if goal.kind == "outside":
            return self.words("outside")
        if goal.missing:
            noun = self.app.entities[goal.references[goal.missing[0]].entity].noun
            yield from self.ask(self.words("which", noun=noun), f"Which {noun} do you mean?")
        if goal.slip:
            yield from self.slip(goal)
        yield from self.look_up(list(goal.references.values()))
        if goal.kind == "do":
            return (yield from self.change(number, goal))
        if goal.kind == "ask":
            reference = goal.references["record"]
            row = yield from self.read(reference.entity, self.key(reference.id))
            return self.told(goal, row[goal.asked])
        stored = self.stored(goal)
        (result,) = yield from self.calls((goal.action, stored))
        rows = self.rows(goal.action, result)
        return self.told(goal, result["count"] if goal.kind == "count" else total(row[goal.asked] for row in rows))

    def slip(self, goal: Goal) -> Serving:
        """Looks for the record that there isn't, and asks."""
        entity = next(r.entity for r in goal.references.values() if r.kind == "id")
        for action in self.app.actions.values():
            if action.shows == entity and action.name in self.declared:
                tool = self.case.surface.by_action[action.name]
                stored = {action.parameters[0].name: goal.slip}
                yield from self.raw((tool.name, json.dumps(tool.written(stored))))
                break
        text = self.words("wrong_id", slip=goal.slip)
        yield from self.ask(text, f"There is no {goal.slip}. Could you check it?")

    def told(self, goal: Goal, value: Any) -> str:
        if goal.kind == "ask":
            field, about = goal.asked.replace("_", " "), goal.references["record"].text
            return self.words("told", field=field, about=about, value=self.form(value))
        return self.words("counted" if goal.kind == "count" else "totalled", value=self.form(value))

    def form(self, value: Any) -> str:
        """A value as the agent says it."""
        return str(value).replace("_", " ")

    def stored(self, goal: Goal) -> dict[str, Any]:
        """The arguments as the user says them at first."""
        return {**{name: self.key(r.id) for name, r in goal.references.items()}, **goal.arguments}

    def what(self, goal: Goal) -> str:
        """The wish in the agent's mouth."""
        action = self.app.actions[goal.action]
        if "what" in self.other and self.rng.random() < 0.5:
            said = [*(r.id for r in goal.references.values()), *map(plainly, goal.arguments.values())]
            return f"{action.name.replace('_', ' ')} {', '.join(said)}"
        neutral = [
            ask.text
            for ask in action.asks
            if {path[0] for path in ask.paths} <= {*goal.references, *goal.arguments}
            and not re.search(r"\b(I|I'm|I'd|me|my|mine|we|us|our)\b", ask.text)
        ]
        if not neutral:
            return action.name.replace("_", " ") + "".join(f" {r.text}" for r in goal.references.values())
        text = self.rng.choice(neutral)
        for name, reference in goal.references.items():
            text = text.replace("{" + name + "}", reference.text)
        for name, value in goal.arguments.items():
            text = text.replace("{" + name + "}", plainly(value))
        return text

    # ---- changes -----------------------------------------------------------------------------------------------------

    def change(self, number: int, goal: Goal) -> Serving:
        stored = self.stored(goal)
        refusal = yield from self.prepare(number, goal, stored)
        if refusal:
            return refusal
        if any(self.app.rules(goal.action, "confirm")):
            if not (yield from self.confirm(number, goal)):
                return self.words("declined")
            if self.guest.act == "change":
                stored |= dict(goal.corrected)
                goal = replace(goal, arguments={**goal.arguments, **goal.corrected})
        result = yield from self.act(number, goal, stored)
        return (yield from self.after(number, goal, stored, result))

    def prepare(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        """What the rules want before the action; the refusal, or an empty text."""
        action = self.app.actions[goal.action]
        for rule in self.app.rules(action.name, "identify"):
            refusal = yield from self.identify(number, goal, rule, stored)
            if refusal:
                return refusal
        for rule in self.app.rules(action.name, "first"):
            yield from self.first(number, rule, action, stored)
        if goal.expected == "forbidden":
            rule = next(policy for policy in self.app.policies if policy.id == goal.reason)
            scope = self.world.scope(action, stored)
            self.world.lets(action, scope)
            why = self.world.said(rule.says, scope) if rule.says else rule.text.rstrip(".")
            return self.words("forbidden", why=why)
        return ""

    def identify(self, number: int, goal: Goal, rule: Policy, stored: Mapping[str, Any]) -> Serving:
        """Asks who the user is and reads who he must be; the refusal, or an empty text."""
        given, field = goal.credential.get(rule.id, ""), rule.value.replace("_", " ")
        owner = self.owner(goal, rule, stored)
        if not given or not owner:
            raise Unservable("it can't be known who the user is")
        if given not in " ".join(self.user_texts()):
            yield from self.who(field, given)
        yield from self.compare(number, rule, owner)
        if goal.expected == "stranger":
            return self.words("stranger", field=field)
        return ""

    def owner(self, goal: Goal, rule: Policy, stored: Mapping[str, Any]) -> str:
        action = self.app.actions[goal.action]
        return owner_of(self.world, action, self.world.scope(action, stored), rule.entity)

    def who(self, field: str, given: str) -> Serving:
        answer = yield from self.ask(self.words("identify", field=field), f"What is the {field}?")
        if (self.guest.credential[1] or given) not in answer:
            raise Unservable("the user speaks of another wish")

    def compare(self, number: int, rule: Policy, owner: str) -> Serving:
        if owner not in self.seen:
            yield from self.read(rule.entity, owner)

    def first(self, number: int, rule: Policy, action: Action, stored: Mapping[str, Any]) -> Serving:
        key = next(stored[name] for name, target in action.refs.items() if target == rule.entity)
        if (rule.value, key) not in self.shown:
            yield from self.calls(self.showing(rule, key))

    def showing(self, rule: Policy, key: str) -> tuple[str, dict[str, Any]]:
        return rule.value, {self.app.actions[rule.value].parameters[0].name: key}

    def confirm(self, number: int, goal: Goal) -> Serving:
        """Whether the user says yes."""
        yield from self.ask(self.words("confirm", what=self.what(goal)), self.go_ahead(goal))
        return self.guest.act != "refuse"

    def go_ahead(self, goal: Goal) -> str:
        """The question for a yes in words that the scripted user knows."""
        return " ".join([*(f"{reference.id}." for reference in goal.references.values()), "Shall I go ahead?"])

    def act(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        (result,) = yield from self.calls((goal.action, stored))
        return result

    def after(self, number: int, goal: Goal, stored: Mapping[str, Any], result: Mapping[str, Any]) -> Serving:
        """What the user is told of a call's result."""
        if "error" not in result:
            if self.new.get(number):
                self.ids[self.new[number]] = result["id"]
            return self.report(goal, result)
        if goal.expected != "fails" and self.good:
            raise Unservable(f"it must not fail: {result}")
        text = self.words("failed", why=str(result.get("message", result["error"])))
        if goal.fallback is None:
            return text
        fallback = self.stored(goal.fallback)
        refusal = yield from self.prepare(number, goal.fallback, fallback)
        if refusal:
            return f"{text} {refusal}"
        (other,) = yield from self.calls((goal.fallback.action, fallback))
        done = yield from self.after(number, goal.fallback, fallback, other)
        return f"{text} {self.words('instead', done=done)}"

    def report(self, goal: Goal, result: Mapping[str, Any]) -> str:
        return " ".join([self.words("done", what=self.what(goal)), *self.lets(goal, result)])

    def lets(self, goal: Goal, result: Mapping[str, Any]) -> Iterator[str]:
        """The computed values that a rule wants to be told."""
        for rule in self.app.rules(goal.action, "tell"):
            yield self.words("after", field=rule.value.replace("_", " "), value=self.form(result[rule.value]))

    # ---- what would be -----------------------------------------------------------------------------------------------

    def trial(self, action: str, stored: Mapping[str, Any]) -> World | None:
        """The world after a call; None where it is refused."""
        world = self.world.copy()
        try:
            world.run(self.app.actions[action], stored)
        except (Refused, ExpressionError):
            return None
        return world

    def imagined(self, action: str, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a call that is not made."""
        world = self.world.copy()
        outcome = world.run(self.app.actions[action], stored)
        return self.case.surface.shown(world, self.case.surface.by_action[action], outcome)

    def state_is_wrong(self) -> bool:
        return self.world.tables != gold_world(self.case.surface, self.task).tables

    def user_texts(self) -> list[str]:
        return [str(m["content"]) for m in self.conversation.messages if m["role"] == "user"]


def total(amounts: Any) -> float | int:
    amount = round(sum(amount or 0 for amount in amounts), 2)
    return int(amount) if float(amount).is_integer() else amount


def plainly(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return ("yes" if value else "no") if isinstance(value, bool) else str(value).replace("_", " ")


# ---- tasks that are made of others ----------------------------------------------------------------------------------


def with_goals(case: Case, goals: Sequence[Goal], turns: Sequence[tuple[int, ...]]) -> Case:
    return replace(case, task=replace(case.task, goals=tuple(goals), turns=tuple(turns)))


def with_last(case: Case, goal: Goal) -> Case:
    """The case with another wish in the place of the last."""
    return with_goals(case, [*case.task.goals[:-1], goal], case.task.turns)


def with_question(case: Case, rng: Random, bases: Sequence[str]) -> Case | None:
    """The last wish becomes a question for a field of one of these types."""
    app = case.surface.app
    shown = {case.surface.tools[name].action.shows for name in case.task.tools}
    world = gold_world(case.surface, case.task)
    kinds = [(name, field) for name in sorted(shown & set(app.entities)) for field in app.entities[name].fields]
    rng.shuffle(kinds)
    for entity, field in kinds:
        if app.entities[entity].fields[field].base not in bases:
            continue
        rows = World.generate(app, case.task.world_seed).tables[entity]
        keys = [key for key, row in rows.items() if row[field] is not None and world.tables[entity].get(key) == row]
        if keys:
            key, noun = rng.choice(keys), app.entities[entity].noun
            says = f"tell me the {field.replace('_', ' ')} of {noun} {key}"
            record = Reference("id", entity, key, f"{noun} {key}")
            goal = Goal("ask", says, "told", references={"record": record}, asked=field, tells=(rows[key][field],))
            return with_last(case, goal)
    return None


def with_stranger(case: Case, rng: Random) -> Case | None:
    """The last wish comes from somebody else."""
    app, goal = case.surface.app, case.task.goals[-1]
    rule = next((rule for rule in app.rules(goal.action, "identify") if rule.id in goal.credential), None)
    if rule is None or goal.expected != "done":
        return None
    right = goal.credential[rule.id]
    rows = World.generate(app, case.task.world_seed).tables[rule.entity].values()
    wrong = rng.choice(sorted({str(row[rule.value]) for row in rows} - {right}))
    says = goal.says.replace(right, wrong)
    return with_last(case, replace(goal, expected="stranger", says=says, credential={rule.id: wrong}, corrected={}))


def with_refusal(case: Case, rng: Random) -> Case | None:
    """The last wish is taken back when the agent asks for a yes."""
    goal = case.task.goals[-1]
    if goal.expected not in ("done", "declined") or not ruled(case.surface.app, goal, "confirm"):
        return None
    return with_last(case, replace(goal, expected="declined", corrected={}))


def with_fallback(case: Case, rng: Random, expected: str = "done") -> Case | None:
    """One wish, and another as what is wanted if it can't be done."""
    app, world = case.surface.app, World.generate(case.surface.app, case.task.world_seed)
    goals = [g for g in case.task.goals if g.kind == "do" and not (g.missing or g.slip or g.fallback)]
    goals = [goal for goal in goals if all(reference.kind != "that" for reference in goal.references.values())]
    for first in goals:
        for second in goals:
            asked = ruled(app, second, "confirm") or ruled(app, second, "identify")
            if first is second or first.expected != expected or not is_change(app, second) or asked:
                continue
            ends = [end(world, app.actions[goal.action], goal.stored()) for goal in (first, second)]
            if ends == [first.reason, ""]:
                says = f"{first.says}, or else {second.says}"
                return with_goals(case, [replace(first, fallback=second, says=says)], [(0,)])
    return None


def end(world: World, action: Action, stored: Mapping[str, Any]) -> str:
    """The error of a call; empty where it is done."""
    try:
        world.copy().run(action, stored)
    except Refused as refusal:
        return refusal.error
    return ""


def in_one_turn(case: Case, rng: Random) -> Case | None:
    """All wishes are told at once."""
    goals = case.task.goals
    if len(goals) < 2 or any(goal.missing or goal.slip for goal in goals):
        return None
    return with_goals(case, goals, [tuple(range(len(goals)))])


def with_outside(case: Case, rng: Random) -> Case | None:
    """In the same breath the user wants something that no desk does."""
    says = rng.choice(
        ("write a poem for my sister", "order a pizza for tonight", "tell me next week's lottery numbers")
    )
    goals = [*case.task.goals, Goal("outside", says, "outside")]
    return in_one_turn(with_goals(case, goals, []), rng)


def with_two_new_records(case: Case, rng: Random) -> Case | None:
    """Two records of a kind are made, then another one that refers to the first."""
    app = case.surface.app
    makers = [a for a in app.writes if a.effects[0].kind == "create" and not ruled_action(app, a.name)]
    pairs = [
        (maker, user, name)
        for maker in makers
        for user in makers
        for name, target in user.refs.items()
        if target == maker.effects[0].entity
    ]
    if not pairs:
        return None
    maker, user, name = rng.choice(pairs)
    return with_changes(case, rng, [maker, maker, user], name)


def with_one_too_many(case: Case, rng: Random) -> Case | None:
    """The same is wanted once more often than a rule allows."""
    app = case.surface.app
    for rule in app.policies:
        if rule.kind == "most" and not any(app.rules(rule.actions[0], "identify")):
            made = with_changes(case, rng, [app.actions[rule.actions[0]]] * (rule.times + 1))
            if made is not None:
                return with_last(made, replace(made.task.goals[-1], expected="forbidden", reason=rule.id))
    return None


def with_changes(case: Case, rng: Random, actions: Sequence[Action], first: str = "") -> Case | None:
    """Wishes for these actions, one after the other; the last takes what the first made as its parameter `first`."""
    app, world = case.surface.app, World.generate(case.surface.app, case.task.world_seed)
    goals: list[Goal] = []
    new: list[str] = []
    for action in actions:
        for _ in range(20):
            needed = [p for p in action.parameters if not p.optional or p.name == first]
            stored = {p.name: drawn(world, p.type, rng) for p in needed}
            if first and len(goals) == len(actions) - 1:
                stored[first] = new[0]
            scope: dict[str, Any] = {}
            if not end(world, action, stored):
                scope = world.scope(action, stored)
                world.lets(action, scope)
            if not scope or banned(app, action, scope):
                continue
            refs = {n: Reference("id", e, stored[n], stored[n]) for n, e in action.refs.items() if n in stored}
            values = {name: value for name, value in stored.items() if name not in refs}
            says = f"{action.name.replace('_', ' ')}: {', '.join(map(plainly, stored.values()))}"
            goals.append(Goal("do", says, "done", action=action.name, arguments=values, references=refs))
            new.append(world.run(action, stored).created)
            break
    if len(goals) < len(actions):
        return None
    made = with_goals(case, goals, [(number,) for number in range(len(goals))])
    return replace(made, task=replace(made.task, tools=tuple(case.surface.tools), calls=4 * len(goals)))


def with_correction(case: Case, rng: Random) -> Case | None:
    """The user says yes to the last wish, but for one value."""
    app, goal = case.surface.app, case.task.goals[-1]
    if not is_change(app, goal) or not ruled(app, goal, "confirm"):
        return None
    world, action = gold_world(case.surface, with_goals(case, case.task.goals[:-1], []).task), app.actions[goal.action]
    for name in goal.arguments:
        kind = action.parameter(name).type
        for value in other_values(kind, goal.arguments[name], rng, app.today):
            corrected = replace(goal, corrected={name: value})
            fitting = kind.fits(value) and kind.base not in ("bool", "list")
            if fitting and not end(world, action, corrected.stored()):
                scope = world.scope(action, corrected.stored())
                world.lets(action, scope)
                if not banned(app, action, scope):
                    return with_last(case, corrected)
    return None


def drawn(world: World, kind: FieldType, rng: Random) -> Any:
    if kind.base == "ref":
        return rng.choice(sorted(world.tables[kind.target]) or [""])
    return draw(kind, rng, world.app.today)


def is_change(app: Application, goal: Goal) -> bool:
    return goal.kind == "do" and goal.expected == "done"


def is_refused(app: Application, goal: Goal) -> bool:
    return goal.expected in NEGATIVE and goal.fallback is None


def ruled(app: Application, goal: Goal, kind: str) -> bool:
    return bool(goal.action) and any(app.rules(goal.action, kind))


def ruled_action(app: Application, action: str) -> bool:
    return any(action in policy.actions for policy in app.policies)


# ---- good conversations ---------------------------------------------------------------------------------------------


class ByPlanner(Clerk):
    """The embedded agent, which makes no mistake here."""


class InOwnWords(Clerk):
    other = frozenset({"which", "identify", "done", "told", "counted", "totalled", "after"})
    planted = True


class OtherForm(Clerk):
    """Values in another form than they are stored in."""

    def form(self, value: Any) -> str:
        text = self.another(value)
        self.planted |= bool(text)
        return text or super().form(value)

    def another(self, value: Any) -> str:
        """Empty where there is none."""
        raise NotImplementedError


class NumbersInWords(OtherForm):
    asks = ("int",)

    def another(self, value: Any) -> str:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 100:
            return ""
        tens, ones = divmod(value, 10)
        return ONES[value] if value < 20 else TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "")


class NumbersWithSeparators(OtherForm):
    asks = ("int", "money", "number")

    def another(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return ""
        whole = f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
        if value < 1000:
            return self.rng.choice((f"€{whole}", f"{whole} euros")) if isinstance(value, float) else ""
        return whole.replace(",", "\u202f") if self.rng.random() < 0.3 else self.rng.choice((whole, f"€{whole}"))


class DatesInOtherForm(OtherForm):
    asks = ("date",)

    def another(self, value: Any) -> str:
        if not DAY.fullmatch(str(value)):
            return ""
        day = date.fromisoformat(value)
        return self.rng.choice(other_dates(day, day.year == self.app.today.year))


class DatesFromToday(OtherForm):
    asks = ("date",)

    def another(self, value: Any) -> str:
        if not DAY.fullmatch(str(value)):
            return ""
        away = (date.fromisoformat(value) - self.app.today).days
        near = {0: "today", 1: "tomorrow", 2: "the day after tomorrow", -1: "yesterday"}
        return near.get(away, f"in {away} days" if 2 < away < 15 else "")


class TimesInOtherForm(OtherForm):
    asks = ("time",)

    def another(self, value: Any) -> str:
        if not TIME.fullmatch(str(value)):
            return ""
        hour, minute = map(int, value.split(":"))
        twelve, half = (hour - 1) % 12 + 1, "am" if hour < 12 else "pm"
        tail = f":{minute:02}" if minute else ""
        part = "in the morning" if hour < 12 else "in the afternoon" if hour < 18 else "in the evening"
        forms = [
            f"{twelve}{tail}{half}",
            f"{twelve}{tail} {half[0]}.m.",
            f"{hour}.{minute:02}",
            f"{twelve}{tail} {half}",
        ]
        return self.rng.choice([*forms, f"{twelve}:{minute:02} {part}"])


class TextsInOtherForm(OtherForm):
    asks = ("phone", "enum", "pool")

    def another(self, value: Any) -> str:
        if not isinstance(value, str) or DAY.fullmatch(value) or TIME.fullmatch(value):
            return ""
        if PHONE.fullmatch(value):
            return self.rng.choice((value.replace(" ", ""), value.replace(" ", "-")))
        if "_" in value:
            return self.rng.choice((value.replace("_", "-"), value.replace("_", " ").capitalize()))
        return f"“{value.title()}”"


class WholeRecordTold(Clerk):
    asks = ("date", "money", "int", "enum", "time", "email")

    def told(self, goal: Goal, value: Any) -> str:
        if goal.kind != "ask":
            return super().told(goal, value)
        self.planted = True
        lines = [f"- {name.replace('_', ' ')}: {plainly(held)}" for name, held in self.row.items()]
        return "Here is all that we have:\n" + "\n".join(lines)


class RefusedInOtherWords(Clerk):
    other = frozenset({"forbidden", "failed", "outside"})
    planted = True
    fits = staticmethod(is_refused)


class StrangerRefusedInOtherWords(Clerk):
    under = "identify"
    other = frozenset({"stranger"})
    planted = True
    derived = staticmethod(with_stranger)


class SuccessWithANoInIt(Clerk):
    """What was done is told in words that hold a no."""

    fits = staticmethod(is_change)

    def report(self, goal: Goal, result: Mapping[str, Any]) -> str:
        self.planted = True
        return " ".join([self.rng.choice(TRAPS).replace("{what}", self.what(goal)), *self.lets(goal, result)])


class ConfirmedInOtherWords(Clerk):
    under = "confirm"
    other = frozenset({"confirm", "what"})

    def confirm(self, number: int, goal: Goal) -> Serving:
        self.planted = True
        return (yield from super().confirm(number, goal))


class YesInOtherWords(ConfirmedInOtherWords):
    other = frozenset({"yes"})


class CorrectedInOtherWords(Clerk):
    under = "confirm"
    derived = staticmethod(with_correction)
    other = frozenset({"yes"})
    fits = staticmethod(lambda app, goal: bool(goal.corrected))

    def confirm(self, number: int, goal: Goal) -> Serving:
        yes = yield from super().confirm(number, goal)
        self.planted |= self.guest.act == "change"
        return yes


class DeclinedInOtherWords(Clerk):
    under = "confirm"
    other = frozenset({"declined", "refuse"})
    derived = staticmethod(with_refusal)
    planted = True


class InAnotherOrder(Clerk):
    """The last wish of a turn first, where it makes no difference but to the ids of new records."""

    derived = staticmethod(in_one_turn)

    def order(self, numbers: Sequence[int]) -> Sequence[int]:
        goals = [self.task.goals[number] for number in numbers]
        turned = [numbers[-1], *numbers[:-1]]
        asked = sum(ruled(self.app, goal, "confirm") for goal in goals)
        if asked > 1 or not all(is_change(self.app, goal) and not goal.corrected for goal in goals):
            return numbers
        state = self.state_after(turned)
        if not state or state != self.state_after(numbers):
            return numbers
        self.planted = True
        return turned

    def state_after(self, numbers: Sequence[int]) -> str:
        """The world after these goals with new records named by their goal; empty where it can't be done."""
        world, names = self.world.copy(), dict(self.ids)
        made: dict[str, str] = {}
        for number in numbers:
            goal = self.task.goals[number]
            action = self.app.actions[goal.action]
            stored = {name: names.get(r.id, r.id) for name, r in goal.references.items()} | dict(goal.arguments)
            try:
                scope = world.scope(action, stored)
                world.lets(action, scope)
                if banned(self.app, action, scope):
                    return ""
                created = world.run(action, stored).created
            except Refused:
                return ""
            if created:
                names[self.new[number]], made[created] = created, f"new {number}"
        text = json.dumps(world.tables)
        renamed = re.sub(r'"([A-Z]+\d+)"', lambda match: f'"{made.get(match[1], match[1])}"', text)
        return json.dumps(json.loads(renamed), sort_keys=True)


class MoreRead(Clerk):
    """Records that nobody needs are read."""

    def wish(self, number: int) -> Serving:
        text = yield from super().wish(number)
        for _ in range(self.rng.randint(1, 2)):
            entity = self.rng.choice(sorted(name for name, table in self.world.tables.items() if table))
            key = self.rng.choice(sorted(self.world.tables[entity]))
            if self.readings(entity, key):
                yield from self.read(entity, key)
                self.planted = True
        return text


class ReadTogether(Clerk):
    """All records that the user speaks of in a turn are read in one message."""

    def turn(self, numbers: Sequence[int]) -> Serving:
        calls: list[tuple[str, dict[str, Any]]] = []
        for goal in (self.task.goals[number] for number in numbers):
            for reference in goal.references.values():
                readings = self.readings(reference.entity, self.key(reference.id))
                if readings and not goal.missing and not goal.slip and readings[0] not in calls:
                    calls.append(readings[0])
        if len(calls) > 1:
            self.planted = True
            yield from self.calls(*calls)
        yield from super().turn(numbers)


class DoneTogether(Clerk):
    """The first two wishes of a turn are done by calls in one message."""

    derived = staticmethod(in_one_turn)
    confirmed = False

    def turn(self, numbers: Sequence[int]) -> Serving:
        pair, rest = numbers[:2], numbers[2:]
        goals = [self.task.goals[number] for number in pair]
        if len(goals) < 2 or not all(is_change(self.app, goal) and not goal.corrected for goal in goals):
            raise Unservable("no two changes")
        if self.new[pair[0]] in [reference.id for reference in goals[1].references.values()]:
            raise Unservable("the second needs the first")
        if [ruled(self.app, goal, "confirm") for goal in goals] != [self.confirmed] * 2:
            raise Unservable("they need a yes, or do not")
        if self.confirmed and any(ruled(self.app, self.task.goals[number], "confirm") for number in rest):
            raise Unservable("the user can't tell which he is asked about")
        for number, goal in zip(pair, goals, strict=True):
            yield from self.look_up(list(goal.references.values()))
            if (yield from self.prepare(number, goal, self.stored(goal))):
                raise Unservable("a refusal")
        if self.confirmed:
            what = ", and then ".join(map(self.what, goals))
            yield from self.ask(self.words("confirm", what=what), self.go_ahead(goals[0]))
        results = yield from self.calls(*((goal.action, self.stored(goal)) for goal in goals))
        texts = []
        for number, goal, result in zip(pair, goals, results, strict=True):
            texts.append((yield from self.after(number, goal, {}, result)))
        for number in rest:
            texts.append((yield from self.wish(number)))
        self.planted = True
        yield from self.answer(" ".join(texts))


class OneYesForTwo(DoneTogether):
    under = "confirm"
    confirmed = True


class MistakeRepaired(Clerk):
    """A call that is refused because of its arguments, then the right one."""

    fits = staticmethod(is_change)

    def act(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        if number == self.target:
            tool = self.case.surface.by_action[goal.action]
            wrong = tool.written(stored)
            name = self.rng.choice(list(wrong))
            how = self.rng.choice(("missing", "type", "unknown", "id"))
            refs = [a.name for a in tool.arguments if a.parameter.type.base == "ref" and a.name in wrong]
            if how == "missing":
                del wrong[name]
            elif how == "type":
                wrong[name] = {"value": wrong[name]}
            elif how == "unknown" or not refs:
                wrong["force"] = True
            else:
                wrong[refs[0]] = f"{wrong[refs[0]]}0"
            (result,) = yield from self.raw((tool.name, json.dumps(wrong)))
            if "error" not in result:
                raise Unservable("it was no mistake")
            self.planted = True
        return (yield from super().act(number, goal, stored))


class SlipCorrected(Clerk):
    persona = "careless"
    other = frozenset({"done", "told"})
    fits = staticmethod(lambda app, goal: bool(goal.slip))
    planted = True


class WhichAsked(Clerk):
    persona = "hesitant"
    other = frozenset({"which", "done"})
    fits = staticmethod(lambda app, goal: bool(goal.missing))
    planted = True


class CredentialInOtherForm(Clerk):
    """The user says who he is with a day, a number or an address written in another way."""

    under = "identify"
    fits = staticmethod(lambda app, goal: bool(goal.credential))

    def who(self, field: str, given: str) -> Serving:
        if DAY.fullmatch(given):
            forms = other_dates(date.fromisoformat(given), False)
        elif PHONE.fullmatch(given):
            forms = [given.replace(" ", ""), given.replace(" ", "-")]
        else:
            forms = [given.upper(), given.capitalize()]
        self.guest.credential = given, self.rng.choice(forms)
        self.planted |= self.guest.credential[1] != given
        yield from super().who(field, given)


class TroublePassed(Clerk):
    """Calls that fail for a moment are made again."""

    noise = Noise(failure=0.2, rebuilding=0.1)

    def raw(self, *made: tuple[str, str]) -> Serving:
        results = yield from super().raw(*made)
        for _ in range(2):
            again = [k for k, result in enumerate(results) if result.get("message") in (UNAVAILABLE, REBUILDING)]
            if not again:
                return results
            self.planted = True
            repeated = yield from super().raw(*(made[k] for k in again))
            results = [repeated[again.index(k)] if k in again else result for k, result in enumerate(results)]
        if any(result.get("message") in (UNAVAILABLE, REBUILDING) for result in results):
            raise Unservable("the trouble did not pass")
        return results


class TimedOutAndLookedAt(Clerk):
    """A change that timed out is made again only where it was not made."""

    noise = Noise(timeout=0.4)

    def act(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        trial = self.trial(goal.action, stored)
        result = yield from super().act(number, goal, stored)
        if "timed out" not in str(result.get("error")):
            return result
        if trial is None or ruled(self.app, goal, "tell"):
            raise Unservable("nothing tells what happened")
        self.planted = True
        if self.world.tables != trial.tables:
            return (yield from super().act(number, goal, stored))
        keys = [self.new[number]] if self.new[number] else [str(stored[name]) for name in goal.references]
        for entity, table in self.world.tables.items():
            for key in keys:
                if key in table and self.readings(entity, key):
                    return (yield from self.read(entity, key))
        raise Unservable("nothing tells what happened")


class FallbackNotNeeded(Clerk):
    derived = staticmethod(with_fallback)
    planted = True


class FallbackNeeded(Clerk):
    other = frozenset({"failed", "done"})
    fits = staticmethod(lambda app, goal: goal.fallback is not None)
    planted = True

    @classmethod
    def derived(cls, case: Case, rng: Random) -> Case | None:
        return with_fallback(case, rng, "fails") or case


class DefaultsWritten(Clerk):
    """Arguments that nobody spoke of are given as the tool would take them anyway."""

    def act(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        action = self.app.actions[goal.action]
        defaults = {p.name: p.default for p in action.parameters if p.default is not None and p.name not in stored}
        self.planted |= bool(defaults)
        return (yield from super().act(number, goal, {**stored, **defaults}))


def other_dates(day: date, this_year: bool) -> list[str]:
    """Ways to write a day that leave nothing open."""
    month = MONTHS[day.month - 1]
    ending = f"{day.day}{'th' if 11 <= day.day <= 13 else {1: 'st', 2: 'nd', 3: 'rd'}.get(day.day % 10, 'th')}"
    forms = [
        f"{WEEKDAYS[day.weekday()]}, {day.day} {month} {day.year}",
        f"{WEEKDAYS[day.weekday()]}, {month} {day.day}, {day.year}",
        f"the {ending} of {month} {day.year}",
        f"{ending} {month} {day.year}",
        f"{month[:3]} {day.day}, {day.year}",
        f"{day.year}/{day.month:02}/{day.day:02}",
    ]
    if day.day > 12:  # else it could be the month
        forms.append(f"{day.day}.{day.month:02}.{day.year}")
    if this_year:
        forms += [f"the {ending} of {month}", f"{month} {ending}", f"{day.day} {month}", f"{month[:3]} {day.day}"]
    return forms


# ---- bad conversations: what is done --------------------------------------------------------------------------------


class Bad(Clerk):
    """The base class of what must not be kept."""

    good = False


class AtOneChange(Bad):
    """The defect lies in how a change that the user wants is made. state: whether the records are wrong afterwards."""

    fits = staticmethod(is_change)
    state = True

    def act(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        if number != self.target:
            return (yield from super().act(number, goal, stored))
        return (yield from self.do_wrong(number, goal, stored))

    def do_wrong(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        raise NotImplementedError
        yield

    def counts(self) -> bool:
        return super().counts() and (not self.state or self.state_is_wrong())

    def instead(self, goal: Goal, candidates: Sequence[Mapping[str, Any]], right: Mapping[str, Any]) -> Serving:
        """Calls with the first arguments that are taken and leave other records than the right ones, or the same ones
        where `state` is not set."""
        gold = self.trial(goal.action, right)
        for stored in candidates:
            trial = self.trial(goal.action, stored)
            if trial is not None and gold is not None and (trial.tables != gold.tables) == self.state:
                (result,) = yield from self.calls((goal.action, stored))
                self.planted = "error" not in result
                return result
        raise Unservable("no other arguments")


def other_values(kind: FieldType, value: Any, rng: Random, today: date) -> list[Any]:
    """Values of a type that are not this one."""
    if kind.base == "enum":
        values: list[Any] = list(kind.values)
    elif kind.base == "bool":
        values = [not value]
    elif kind.numeric:
        values = [value + 1, value - 1, value * 2, value * 10]
    else:
        values = [draw(kind, rng, today) for _ in range(4)]
    rng.shuffle(values)
    return [other for other in values if other != value]


class WrongValue(AtOneChange):
    creates = False

    @classmethod
    def fits(cls, app: Application, goal: Goal) -> bool:
        if not is_change(app, goal) or not goal.arguments:
            return False
        return not cls.state or cls.creates == any(e.kind == "create" for e in app.actions[goal.action].effects)

    def do_wrong(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        return (yield from self.instead(goal, self.with_other_values(goal, stored), stored))

    def with_other_values(self, goal: Goal, stored: Mapping[str, Any]) -> list[dict[str, Any]]:
        names = self.rng.sample(sorted(goal.arguments), len(goal.arguments))
        kinds = {name: self.app.actions[goal.action].parameter(name).type for name in names}
        return [
            {**stored, name: value}
            for name in names
            for value in other_values(kinds[name], stored[name], self.rng, self.app.today)
        ]


class WrongFieldOfNewRecord(WrongValue):
    creates = True


class WrongValueWithoutTrace(WrongValue):
    """No record holds the argument: only the call shows that it is wrong."""

    state = False


class OptionLeftOut(AtOneChange):
    """An argument that the user named and that the tool does not need."""

    def do_wrong(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        names = [name for name in goal.arguments if self.app.actions[goal.action].parameter(name).optional]
        without = [{key: value for key, value in stored.items() if key != name} for name in names]
        return (yield from self.instead(goal, without, stored))


class WrongUnit(AtOneChange):
    """The number that the user said, in the unit that he said it in and not in the tool's."""

    under = "scaled"
    shapes = 40

    def do_wrong(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        tool = self.case.surface.by_action[goal.action]
        scaled = [a for a in tool.arguments if a.scale > 1 and a.parameter.name in goal.arguments]
        if not scaled:
            raise Unservable("no argument has another unit")
        written = tool.written(stored)
        held = written[tool.group] if tool.group else written
        held[scaled[0].name] = round(stored[scaled[0].parameter.name])
        (result,) = yield from self.raw((tool.name, json.dumps(written)))
        self.planted = "error" not in result
        return result


class WrongRecord(AtOneChange):
    def do_wrong(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        candidates = [
            {**stored, name: key}
            for name, reference in goal.references.items()
            for key in self.others(reference, str(stored[name]))
        ]
        return (yield from self.instead(goal, self.rng.sample(candidates, len(candidates)), stored))

    def others(self, reference: Reference, right: str) -> list[str]:
        return [key for key in self.world.tables[reference.entity] if key != right]


class OtherNewRecord(WrongRecord):
    """A record that one wish made is taken for the one that another made."""

    derived = staticmethod(with_two_new_records)

    @classmethod
    def targets(cls, case: Case) -> list[int]:
        return [2]

    def others(self, reference: Reference, right: str) -> list[str]:
        table, new = self.world.tables[reference.entity], [self.new[0], self.new[1]]
        return [key for key in new if right in new and table[key] != table[right]]


class LeftOut(AtOneChange):
    """The change is not made, the answer says that it was."""

    def do_wrong(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        self.planted = True
        return self.imagined(goal.action, stored)
        yield


class CallWrittenAsText(LeftOut):
    def answer(self, text: str) -> Serving:
        name = self.case.surface.by_action[self.task.goals[self.target].action].name
        yield from super().answer(f"{json.dumps({'name': name, 'arguments': {}})}\n{text}")


class FailedCallTakenForDone(AtOneChange):
    def do_wrong(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        (result,) = yield from self.calls((goal.action, {name: f"{stored[name]}0" for name in goal.references}))
        self.planted = "error" in result
        return self.imagined(goal.action, stored)


class ExtraChange(Bad):
    """Besides the wish something is changed that nobody asked for, best by an action without rules."""

    def answer(self, text: str) -> Serving:
        if not self.planted:
            writes = [action for action in self.app.writes if action.name in self.declared]
            self.rng.shuffle(writes)
            writes.sort(key=lambda action: ruled_action(self.app, action.name))
            yield from self.meddle(writes)
        yield from super().answer(text)

    def meddle(self, writes: Sequence[Action]) -> Serving:
        for action in [*writes] * 3:
            needed = [p for p in action.parameters if not p.optional]
            stored = {p.name: drawn(self.world, p.type, self.rng) for p in needed}
            trial = self.trial(action.name, stored)
            if trial is not None and trial.tables != self.world.tables:
                yield from self.calls((action.name, stored))
                self.planted = True
                return

    def counts(self) -> bool:
        return super().counts() and self.state_is_wrong()


class DoneTwice(AtOneChange):
    def do_wrong(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        (result,) = yield from self.calls((goal.action, stored))
        if ruled(self.app, goal, "confirm"):
            yield from self.confirm(number, goal)
        (again,) = yield from self.calls((goal.action, stored))
        self.planted = "error" not in again
        return result


class WorkaroundNobodyWanted(WrongValue):
    """What can't be done is done with other arguments."""

    @classmethod
    def fits(cls, app: Application, goal: Goal) -> bool:
        return goal.expected == "fails" and goal.fallback is None

    def do_wrong(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        (result,) = yield from self.calls((goal.action, stored))
        candidates = self.with_other_values(goal, stored) + [
            {**stored, name: key}
            for name, reference in goal.references.items()
            for key in sorted(self.world.tables[reference.entity])
        ]
        for other in candidates:
            trial = self.trial(goal.action, other)
            if trial is not None and trial.tables != self.world.tables:
                yield from self.calls((goal.action, other))
                self.planted = True
                break
        return result


class CorrectionIgnored(AtOneChange):
    """The user says yes to all but one value; it stays as it was."""

    under = "confirm"
    derived = staticmethod(with_correction)
    fits = staticmethod(lambda app, goal: bool(goal.corrected))

    def do_wrong(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        first = self.stored(self.task.goals[number])
        self.planted = stored != first
        (result,) = yield from self.calls((goal.action, first))
        return result


class FallbackInstead(AtOneChange):
    """The first wish, which is possible, is not tried."""

    derived = staticmethod(with_fallback)
    both = False

    def do_wrong(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        assert goal.fallback is not None
        if self.both:
            yield from self.calls((goal.action, stored))
        other = self.stored(goal.fallback)
        yield from self.prepare(number, goal.fallback, other)
        (result,) = yield from self.calls((goal.fallback.action, other))
        self.planted = "error" not in result
        return result

    def report(self, goal: Goal, result: Mapping[str, Any]) -> str:
        assert goal.fallback is not None
        return super().report(goal.fallback, result) if self.planted else ""


class FallbackToo(FallbackInstead):
    both = True


# ---- bad conversations: calls that must not be, rules that are broken ------------------------------------------------


class UndeclaredTool(Bad):
    """A tool of the desk that this agent was not given."""

    def wish(self, number: int) -> Serving:
        name, arguments = self.undeclared()
        if number == self.target and name:
            yield from self.raw((name, json.dumps(arguments)))
            self.planted = True
        return (yield from super().wish(number))

    def undeclared(self) -> tuple[str, dict[str, Any]]:
        for action in self.app.actions.values():
            if action.shows and action.name not in self.declared:
                tool = self.case.surface.by_action[action.name]
                key = self.rng.choice(sorted(self.world.tables[action.shows]))
                return tool.name, tool.written({action.parameters[0].name: key})
        return "", {}


class InventedTool(UndeclaredTool):
    def undeclared(self) -> tuple[str, dict[str, Any]]:
        return self.rng.choice(("send_email", "get_user", "lookup", "final_answer", "search")), {"text": "hello"}


class MalformedArguments(AtOneChange):
    """Arguments that are no JSON object, and then the right call."""

    state = False

    def do_wrong(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        tool = self.case.surface.by_action[goal.action]
        text = json.dumps(tool.written(stored))
        broken = (text[:-1], f"[{text}]", json.dumps(text), text.replace('"', "'"), f"{text}}}", "7", f"```\n{text}```")
        yield from self.raw((tool.name, self.rng.choice(broken)))
        self.planted = True
        (result,) = yield from self.calls((goal.action, stored))
        return result


class TooManyCalls(Bad):
    """Records are read over and over."""

    def answer(self, text: str) -> Serving:
        readings = [
            reading
            for entity, table in sorted(self.world.tables.items())
            for key in sorted(table)
            for reading in self.readings(entity, key)
        ]
        self.rng.shuffle(readings)
        if not self.planted and len(readings) > 3:
            for k in range(self.task.at_most // 3 + 2):
                yield from self.calls(*(readings * 9)[3 * k : 3 * k + 3])
            self.planted = True
        yield from super().answer(text)


class ForbiddenDone(Bad):
    under = "forbid"

    @classmethod
    def fits(cls, app: Application, goal: Goal) -> bool:
        broken = next((rule for rule in app.policies if rule.id == goal.reason), None)
        return goal.expected == "forbidden" and broken is not None and broken.kind == cls.under

    def change(self, number: int, goal: Goal) -> Serving:
        self.planted |= number == self.target
        return (yield from super().change(number, replace(goal, expected="done") if number == self.target else goal))


class OneTooMany(ForbiddenDone):
    under = "most"
    derived = staticmethod(with_one_too_many)


class Unconfirmed(Bad):
    """The action needs a yes; nobody asked for it."""

    under = "confirm"

    @staticmethod
    def fits(app: Application, goal: Goal) -> bool:
        return is_change(app, goal) and not goal.corrected and ruled(app, goal, "confirm")

    @classmethod
    def targets(cls, case: Case) -> list[int]:
        return super().targets(case)[:1]

    def confirm(self, number: int, goal: Goal) -> Serving:
        if number != self.target:
            return (yield from super().confirm(number, goal))
        self.planted = True
        yield from self.ask_otherwise(goal)
        return True

    def ask_otherwise(self, goal: Goal) -> Serving:
        """What is done in the place of asking."""
        return
        yield


class SecondUnconfirmed(Unconfirmed):
    """Two changes need a yes; the user was asked about the first alone."""

    @classmethod
    def targets(cls, case: Case) -> list[int]:
        fitting = [n for n, goal in enumerate(case.task.goals) if cls.fits(case.surface.app, goal)]
        return fitting[1:]


class YesToAnotherQuestion(Unconfirmed):
    def ask_otherwise(self, goal: Goal) -> Serving:
        questions = (
            "Would you like me to look at the record first?",
            "May I check that for you?",
            "Are you sure that you have the right desk?",
            "Would you mind waiting a moment while I look into it?",
        )
        yield from self.ask(self.rng.choice(questions), self.go_ahead(goal))


class YesWithTheCredential(Unconfirmed):
    """The only yes is the one with which the user begins to say who he is."""

    under = "confirm identify"
    begun = False

    def who(self, field: str, given: str) -> Serving:
        self.guest.forced = self.rng.choice((f"Sure, the {field} is {given}.", f"OK, it's {given}.", f"Yes, {given}."))
        yield from super().who(field, given)
        self.begun = True

    def ask_otherwise(self, goal: Goal) -> Serving:
        self.planted = self.begun
        return
        yield


class ConfirmedAfterwards(Unconfirmed):
    def after(self, number: int, goal: Goal, stored: Mapping[str, Any], result: Mapping[str, Any]) -> Serving:
        text = yield from super().after(number, goal, stored, result)
        if number == self.target:
            yield from self.ask(f"{text} Is that right?", self.go_ahead(goal))
        return text


class AskedInTheSameMessage(Unconfirmed):
    """The question stands beside the call, so that the user can't answer it."""

    def raw(self, *made: tuple[str, str]) -> Serving:
        calling = super().raw(*made)
        message = next(calling)
        goal = self.task.goals[self.target]
        if made[0][0] == self.case.surface.by_action[goal.action].name:
            message["content"] = self.words("confirm", what=self.what(goal))
        given = yield message
        try:
            calling.send(given)
        except StopIteration as end:
            return end.value
        raise AssertionError("calls are one message")


class RefusedButDone(Bad):
    under = "confirm"
    derived = staticmethod(with_refusal)
    fits = staticmethod(lambda app, goal: goal.expected == "declined")

    def confirm(self, number: int, goal: Goal) -> Serving:
        yes = yield from super().confirm(number, goal)
        self.planted |= number == self.target and not yes
        return yes or number == self.target


class Unidentified(Bad):
    """Nobody asks who the user is."""

    under = "identify"
    fits = staticmethod(lambda app, goal: is_change(app, goal) and bool(goal.credential))

    @classmethod
    def targets(cls, case: Case) -> list[int]:
        return super().targets(case)[:1]

    def who(self, field: str, given: str) -> Serving:
        return
        yield

    def act(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        if number == self.target:
            texts = " ".join(self.user_texts())
            self.planted = not any(value in texts for value in goal.credential.values())
        return (yield from super().act(number, goal, stored))


class AgentSaysWhoTheUserIs(Unidentified):
    def who(self, field: str, given: str) -> Serving:
        self.guest.forced = self.rng.choice(("Yes, it is.", "Yes.", "That's right."))
        yield from self.say(f"Is your {field} still {given}?")


class NeverCompared(Bad):
    """The user says who he is; the agent does not look whether it is true."""

    under = "identify"
    fits = staticmethod(lambda app, goal: is_change(app, goal) and bool(goal.credential))

    @classmethod
    def targets(cls, case: Case) -> list[int]:
        return super().targets(case)[:1]

    def __init__(self, case: Case, guest: Guest, conversation: Conversation, rng: Random, target: int) -> None:
        super().__init__(case, guest, conversation, rng, target)
        self.hidden = {rule.entity for rule in self.app.rules(self.task.goals[target].action, "identify")}
        self.owners: list[tuple[str, str]] = []

    def readings(self, entity: str, key: str) -> list[tuple[str, dict[str, Any]]]:
        return super().readings(entity, key) if entity not in self.hidden or self.planted else []

    def compare(self, number: int, rule: Policy, owner: str) -> Serving:
        self.owners.append((rule.entity, owner))
        if number != self.target:
            yield from super().compare(number, rule, owner)

    def act(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        result = yield from super().act(number, goal, stored)
        self.planted |= number == self.target
        return result

    def counts(self) -> bool:
        """No result before the change holds what the user gave."""
        goal = self.task.goals[self.target]
        name = self.case.surface.by_action[goal.action].name
        for message in self.conversation.messages:
            if any(call["function"]["name"] == name for call in message.get("tool_calls") or []):
                return self.planted
            if message["role"] == "tool" and any(v in str(message["content"]) for v in goal.credential.values()):
                return False
        return False


class ComparedAfterwards(NeverCompared):
    def after(self, number: int, goal: Goal, stored: Mapping[str, Any], result: Mapping[str, Any]) -> Serving:
        if number == self.target:
            for entity, owner in self.owners:
                if self.readings(entity, owner):
                    yield from self.read(entity, owner)
        return (yield from super().after(number, goal, stored, result))


class StrangerServed(Bad):
    under = "identify"
    derived = staticmethod(with_stranger)
    fits = staticmethod(lambda app, goal: goal.expected == "stranger")

    def identify(self, number: int, goal: Goal, rule: Policy, stored: Mapping[str, Any]) -> Serving:
        refusal = yield from super().identify(number, goal, rule, stored)
        self.planted |= bool(refusal)
        return ""


class ChangedUnread(Bad):
    """A rule wants the record to be read first."""

    under = "first"
    fits = staticmethod(lambda app, goal: is_change(app, goal) and ruled(app, goal, "first"))

    @classmethod
    def targets(cls, case: Case) -> list[int]:
        return super().targets(case)[:1]

    def __init__(self, case: Case, guest: Guest, conversation: Conversation, rng: Random, target: int) -> None:
        super().__init__(case, guest, conversation, rng, target)
        self.wanted: list[tuple[str, dict[str, Any]]] = []  # readings that the rule wants
        self.hidden = {rule.value for rule in self.app.rules(self.task.goals[target].action, "first")}

    def readings(self, entity: str, key: str) -> list[tuple[str, dict[str, Any]]]:
        return [reading for reading in super().readings(entity, key) if reading[0] not in self.hidden]

    def first(self, number: int, rule: Policy, action: Action, stored: Mapping[str, Any]) -> Serving:
        if number != self.target:
            yield from super().first(number, rule, action, stored)
            return
        key = next(str(stored[name]) for name, target in action.refs.items() if target == rule.entity)
        self.wanted.append(self.showing(rule, key))
        self.planted |= (rule.value, key) not in self.shown

    def act(self, number: int, goal: Goal, stored: Mapping[str, Any]) -> Serving:
        if number != self.target:
            return (yield from super().act(number, goal, stored))
        return (yield from self.act_unread((goal.action, dict(stored))))

    def act_unread(self, call: tuple[str, dict[str, Any]]) -> Serving:
        (result,) = yield from self.calls(call)
        return result


class ReadAfterwards(ChangedUnread):
    def act_unread(self, call: tuple[str, dict[str, Any]]) -> Serving:
        (result,) = yield from self.calls(call)
        yield from self.calls(*self.wanted)
        return result


class ReadInTheSameMessage(ChangedUnread):
    """The change was decided on before the record came back."""

    def act_unread(self, call: tuple[str, dict[str, Any]]) -> Serving:
        results = yield from self.calls(*self.wanted, call)
        return results[-1]


# ---- bad conversations: what the user is told ------------------------------------------------------------------------


class ValueMissing(Bad):
    fits = staticmethod(lambda app, goal: goal.expected == "told")

    def told(self, goal: Goal, value: Any) -> str:
        if goal is not self.task.goals[self.target]:
            return super().told(goal, value)
        self.planted = True
        return self.told_wrong(goal, value)

    def told_wrong(self, goal: Goal, value: Any) -> str:
        return self.rng.choice(
            ("I have looked it up, all is in order.", "Your question is answered.", "See our records.")
        )


class ValueInThoughts(ValueMissing):
    def answer(self, text: str) -> Serving:
        thought = f"It is {self.task.goals[self.target].tells[0]}."
        yield {"role": "assistant", "content": text, "reasoning_content": thought}


class WrongValueTold(ValueMissing):
    def told_wrong(self, goal: Goal, value: Any) -> str:
        others = self.others(goal, value)
        if not others:
            raise Unservable("no other value")
        return Clerk.told(self, goal, self.rng.choice(others))

    def others(self, goal: Goal, value: Any) -> list[Any]:
        if goal.kind == "ask":
            kind = self.app.entities[goal.references["record"].entity].fields[goal.asked]
            return other_values(kind, value, self.rng, self.app.today)
        return [value + 1, value * 10, max(0, value - 1), value + 100] if value else [1]


class RightValueInside(WrongValueTold):
    """What is told is wrong, though it holds the right value's words: `May 12` for `May 1`, `unpaid` for `paid`."""

    asks = ("date", "time", "enum", "int")
    fits = staticmethod(lambda app, goal: goal.kind == "ask")

    def others(self, goal: Goal, value: Any) -> list[Any]:
        if DAY.fullmatch(str(value)):
            day = date.fromisoformat(value)
            month = MONTHS[day.month - 1]
            inside = [f"{month} {day.day}{last}" for last in (0, 4, 9)] if day.day < 3 else []
            return inside + ([f"{ten}{day.day} {month} {day.year}" for ten in (1, 2)] if day.day < 9 else [])
        if TIME.fullmatch(str(value)):
            hour, minute = map(int, value.split(":"))
            tail = f":{minute:02}" if minute else ""
            return [f"1{hour % 12}{tail} {'am' if hour < 12 else 'pm'}"] if hour % 12 in (1, 2) else []
        if isinstance(value, str):
            return [f"un{value}"]
        return [int(f"1{value}")] if isinstance(value, int) and value >= 0 else []


class OtherRecordTold(WrongValueTold):
    """The value of another record of the same kind, or of another search."""

    def others(self, goal: Goal, value: Any) -> list[Any]:
        if goal.kind == "ask":
            rows = self.world.tables[goal.references["record"].entity].values()
            return [row[goal.asked] for row in rows if row[goal.asked] not in (value, None)]
        return [other for other in self.other_searches(goal) if other != value]

    def other_searches(self, goal: Goal) -> list[Any]:
        action, results = self.app.actions[goal.action], []
        for name, value in self.stored(goal).items():
            for row in self.world.tables[action.finds].values():
                if row[name] in (value, None):
                    continue
                ids = self.world.run(action, {**self.stored(goal), name: row[name]}).ids
                rows = [self.world.tables[action.finds][key] for key in ids]
                results.append(len(rows) if goal.kind == "count" else total(other[goal.asked] for other in rows))
        return results


class LetMissing(Bad):
    """A value that a rule wants the user to be told."""

    under = "tell"
    fits = staticmethod(lambda app, goal: is_change(app, goal) and ruled(app, goal, "tell"))

    def lets(self, goal: Goal, result: Mapping[str, Any]) -> Iterator[str]:
        if goal is not self.task.goals[self.target]:
            return super().lets(goal, result)
        self.planted = True
        return self.lets_wrong(goal, result)

    def lets_wrong(self, goal: Goal, result: Mapping[str, Any]) -> Iterator[str]:
        return iter(())


class WrongLetTold(LetMissing):
    def lets_wrong(self, goal: Goal, result: Mapping[str, Any]) -> Iterator[str]:
        wrong = dict(result)
        for rule in self.app.rules(goal.action, "tell"):
            value = result[rule.value]
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise Unservable("no number")
            wrong[rule.value] = self.rng.choice((value + 1, value * 2 + 1, value + 10, round(value * 0.9 - 1, 2)))
        return Clerk.lets(self, goal, wrong)


class FailureAsSuccess(Bad):
    """What could not be done is told as done."""

    fits = staticmethod(lambda app, goal: goal.expected == "fails" and goal.fallback is None)

    def wish(self, number: int) -> Serving:
        text = yield from super().wish(number)
        if number != self.target:
            return text
        self.planted = True
        goal = self.task.goals[number]
        return self.success(self.what(goal) if goal.action else goal.says)

    def success(self, what: str) -> str:
        return self.words("done", what=what)


class RefusalAsSuccess(FailureAsSuccess):
    """What must not be done, and is not, is told as done."""

    fits = staticmethod(lambda app, goal: goal.expected in ("forbidden", "stranger", "outside"))


class FalseSuccessWithANoInIt(FailureAsSuccess):
    """The same, in words that hold a no."""

    fits = staticmethod(is_refused)

    def success(self, what: str) -> str:
        return self.rng.choice(TRAPS).replace("{what}", what)


class OneOfTwoRefusals(FailureAsSuccess):
    """Two wishes of a turn are refused; one is told so, the other as done."""

    derived = staticmethod(with_outside)

    @classmethod
    def targets(cls, case: Case) -> list[int]:
        fitting = [n for n, goal in enumerate(case.task.goals) if is_refused(case.surface.app, goal)]
        return fitting if len(fitting) > 1 else []


class PassedOver(Bad):
    """One of several wishes of a turn is neither served nor mentioned."""

    derived = staticmethod(with_outside)
    fits = staticmethod(is_refused)

    def wish(self, number: int) -> Serving:
        if number != self.target:
            return (yield from super().wish(number))
        self.planted = True
        return ""


class DeclinedToldAsDone(FailureAsSuccess):
    """The user said no and nothing was done; the answer says it was."""

    under = "confirm"
    derived = staticmethod(with_refusal)
    fits = staticmethod(lambda app, goal: goal.expected == "declined")


class DoneToldAsFailed(Bad):
    fits = staticmethod(is_change)

    def report(self, goal: Goal, result: Mapping[str, Any]) -> str:
        if goal is not self.task.goals[self.target]:
            return super().report(goal, result)
        self.planted = True
        text = self.words("failed", why="the service did not answer")
        return " ".join([text, *self.lets(goal, result)])


class NothingSaid(Bad):
    """The answers are empty."""

    fits = staticmethod(is_change)
    planted = True

    def answer(self, text: str) -> Serving:
        yield from super().answer(self.rng.choice(("", " ", "\n")))


class PutOff(Bad):
    """A promise is all that comes."""

    fits = staticmethod(is_change)

    def wish(self, number: int) -> Serving:
        if number != self.target:
            return (yield from super().wish(number))
        self.planted = True
        return self.rng.choice(
            ("One moment please, I'll look into it.", "I will do that right away.", "Working on it.")
        )


class CutShort(Bad):
    """The agent comes to no answer: its message is cut, its server refuses, or it calls on and on."""

    planted = True

    def answer(self, text: str) -> Serving:
        how = self.rng.randrange(3)
        if how < 2:
            yield (Truncated("the limit of tokens"), ModelRefused("a content filter"))[how]
        while True:
            entity = self.rng.choice(sorted(name for name, table in self.world.tables.items() if table))
            calls = self.readings(entity, self.rng.choice(sorted(self.world.tables[entity])))
            yield from self.calls(calls[0]) if calls else self.raw(("look", "{}"))


# ---- the judge ------------------------------------------------------------------------------------------------------

GOOD: tuple[type[Clerk], ...] = (
    ByPlanner, InOwnWords, NumbersInWords, NumbersWithSeparators, DatesInOtherForm, DatesFromToday, TimesInOtherForm,
    TextsInOtherForm, WholeRecordTold, RefusedInOtherWords, StrangerRefusedInOtherWords, SuccessWithANoInIt,
    ConfirmedInOtherWords, YesInOtherWords, CorrectedInOtherWords, DeclinedInOtherWords, InAnotherOrder, MoreRead,
    ReadTogether, DoneTogether, OneYesForTwo, MistakeRepaired, SlipCorrected, WhichAsked, CredentialInOtherForm,
    TroublePassed, TimedOutAndLookedAt, FallbackNotNeeded, FallbackNeeded, DefaultsWritten,
)  # fmt: skip
BAD: tuple[type[Clerk], ...] = (
    WrongValue, WrongFieldOfNewRecord, WrongValueWithoutTrace, OptionLeftOut, WrongUnit, WrongRecord, OtherNewRecord,
    LeftOut, CallWrittenAsText, FailedCallTakenForDone, ExtraChange, DoneTwice, WorkaroundNobodyWanted,
    CorrectionIgnored, FallbackInstead, FallbackToo, UndeclaredTool, InventedTool, MalformedArguments, TooManyCalls,
    ForbiddenDone, OneTooMany, Unconfirmed, SecondUnconfirmed, YesToAnotherQuestion, YesWithTheCredential,
    ConfirmedAfterwards, AskedInTheSameMessage, RefusedButDone, Unidentified, AgentSaysWhoTheUserIs, NeverCompared,
    ComparedAfterwards, StrangerServed, ChangedUnread, ReadAfterwards, ReadInTheSameMessage, ValueMissing,
    ValueInThoughts, WrongValueTold, RightValueInside, OtherRecordTold, LetMissing, WrongLetTold, FailureAsSuccess,
    RefusalAsSuccess, FalseSuccessWithANoInIt, OneOfTwoRefusals, PassedOver, DeclinedToldAsDone, DoneToldAsFailed,
    NothingSaid, PutOff, CutShort,
)  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """A conversation of a kind as it was judged."""

    setting: Setting
    messages: Sequence[Mapping[str, Any]]
    verdict: Judgement


def hold(kind: type[Clerk], setting: Setting) -> Trial | None:
    """The conversation of this kind in this setting; None where the kind has no place in it."""
    made = case_of(setting)
    rng = Random(f"{kind.__name__}|{setting}")
    case = kind.derived(made, rng) if made is not None else None
    targets = kind.targets(case) if case is not None else []
    if case is None or not targets:
        return None
    case = replace(case, noise=kind.noise)
    if kind is ByPlanner:
        trajectory = simulate(case)
        return Trial(setting, trajectory.messages, trajectory.verdict)
    guest = Guest(case, rng, kind.other)
    conversation = Conversation(case)
    clerk = kind(case, guest, conversation, rng, rng.choice(targets))
    talk, serving = conversation.talk(guest), clerk.serve()
    try:
        next(talk)
        message = next(serving)
        while True:
            shown = talk.throw(message) if isinstance(message, Exception) else talk.send(message)
            answered = max(k for k, each in enumerate(shown) if each["role"] == "assistant")
            message = serving.send(shown[answered + 1 :])
    except Unservable:
        return None
    except StopIteration as end:
        return Trial(setting, end.value.messages, end.value.verdict) if clerk.counts() else None


@cache
def trials(kind: type[Clerk]) -> Sequence[Trial]:
    held = (hold(kind, setting) for setting in settings(kind))
    return list(islice((trial for trial in held if trial is not None), WANTED))


def missed(kind: type[Clerk]) -> list[str]:
    """The conversations that are judged wrongly, a line each."""
    return [
        f"{trial.setting}: {trial.verdict.verdict}, {trial.verdict.reason}"
        for trial in trials(kind)
        if trial.verdict.kept != kind.good
    ]


@pytest.mark.parametrize("kind", [*GOOD, *BAD], ids=lambda kind: kind.__name__)
def test_of_each_kind_nine_in_ten_are_judged_right(kind: type[Clerk]) -> None:
    wrong = missed(kind)
    assert len(trials(kind)) >= FEWEST
    assert len(wrong) <= 0.1 * len(trials(kind)), "\n".join([f"{len(wrong)} of {len(trials(kind))}", *wrong[:4]])


@pytest.mark.parametrize("kinds", [GOOD, BAD], ids=["good", "bad"])
def test_in_all_98_in_100_are_judged_right(kinds: Sequence[type[Clerk]]) -> None:
    n_trials, n_missed = (sum(len(of(kind)) for kind in kinds) for of in (trials, missed))
    assert n_missed <= 0.02 * n_trials, f"{n_missed} of {n_trials}"
