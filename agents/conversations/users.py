"""Simulated users: a persona's behaviour is a script, so that the simulator's own mistakes can be measured.

A script is what the user says, turn by turn, and the task that the conversation amounts to. Wording comes from the
persona's forms.
"""

from dataclasses import dataclass, replace

import numpy as np

from agents.conversations.tasks import Application, PlannedCall, Subgoal, WorldTask
from agents.conversations.world import value

PERSONAS = ("plain", "polite", "terse", "one_by_one", "hesitant", "slip", "mind_changer")
OPENINGS = {
    "polite": ("Hello, could you please help me? ", "Good morning. I would be glad if you could do this: "),
    "terse": ("",),
}


@dataclass(frozen=True)
class Script:
    """What a user says, in order, and the task as it stands at the end.

    gold_turns: for each turn the gold calls that it asks for.
    ask_first: turns after which a careful assistant asks instead of acting.
    """

    persona: str
    turns: tuple[str, ...]
    gold_turns: tuple[tuple[PlannedCall, ...], ...]
    ask_first: frozenset[int]
    task: WorldTask


def script(app: Application, task: WorldTask, persona: str, seed: int) -> Script:
    """The turns of `persona` for a task; a persona that does not fit the task falls to `plain`."""
    rng = np.random.default_rng([seed, 17])
    goals = task.subgoals
    if persona == "one_by_one" and len(goals) > 1:
        return Script(persona, tuple(g.request for g in goals), tuple(g.calls for g in goals), frozenset(), task)
    if persona == "hesitant":
        topic = goals[0].criterion.kind.replace("_", " ")
        turns = (f"I need help with a {topic}.", task.request)
        return Script(persona, turns, ((), tuple(task.gold)), frozenset({0}), task)
    if persona == "slip":
        slipped = _slip(task, rng)
        if slipped is not None:
            return Script(persona, (slipped,), (tuple(task.gold),), frozenset(), task)
    if persona == "mind_changer":
        changed = _changed_mind(app, task, rng)
        if changed is not None:
            return changed
    opening = str(rng.choice(OPENINGS[persona])) if persona in OPENINGS else ""
    text = f"{opening}{task.request}" + (" Thank you!" if persona == "polite" else "")
    return Script(persona if persona in OPENINGS else "plain", (text,), (tuple(task.gold),), frozenset(), task)


def _slip(task: WorldTask, rng: np.random.Generator) -> str | None:
    """The request with a wrong id that the user corrects in the same breath."""
    goal = task.subgoals[0]
    right = goal.criterion.id
    if not right or right not in goal.request:
        return None
    letters = right.rstrip("0123456789")
    wrong = f"{letters}{int(right[len(letters) :]) + int(rng.integers(100, 900))}"
    first = goal.request.replace(right, wrong)
    return " ".join([first, f"Sorry, not {wrong}, I mean {right}.", *(g.request for g in task.subgoals[1:])])


def _changed_mind(app: Application, task: WorldTask, rng: np.random.Generator) -> Script | None:
    """After all is done the user wants another value in one place."""
    for index, goal in enumerate(task.subgoals):
        call = goal.calls[-1]
        tool = app.tools[call.tool]
        if tool.action != "update" or tool.field is None or goal.criterion.check == "denied":
            continue
        new = value(rng, tool.kind.field(tool.field))
        if new == call.arguments[tool.field]:
            continue
        again = PlannedCall(call.tool, {"id": call.arguments["id"], tool.field: new})
        spoken = tool.field.replace("_", " ")
        later = Subgoal(
            f"I changed my mind: set the {spoken} of {call.arguments['id']} to {new} instead.",
            goal.detail,
            (again,),
            replace(goal.criterion, values={tool.field: new}),
            f"{call.arguments['id']} changed again",
        )
        first = replace(goal, criterion=later.criterion)
        goals = [*task.subgoals[:index], first, *task.subgoals[index + 1 :], later]
        turns = (task.request, later.request)
        return Script(
            "mind_changer", turns, (tuple(task.gold), (again,)), frozenset(), replace(task, subgoals=tuple(goals))
        )
    return None


def untold(user_script: Script) -> list[str]:
    """Values that the gold plan needs and that the user never said: the simulator's own mistakes.

    An id counts only when the user has to give it, that is when no earlier search of the plan finds it.
    """
    text = " ".join(user_script.turns)
    missing = []
    found_by_search = False
    for call in (call for calls in user_script.gold_turns for call in calls):
        for name, argument in call.arguments.items():
            if name == "id" and found_by_search:
                continue
            if str(argument) not in text:
                missing.append(f"{call.tool}.{name}={argument}")
        found_by_search = "_by_" in call.tool
    return missing
