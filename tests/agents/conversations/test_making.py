"""Tasks: drawn from every application, solved by an agent without mistakes, and by nobody who does less."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from agents.conversations.agents import Agent
from agents.conversations.held import Held
from agents.conversations.judge import judge
from agents.conversations.making import NoTask, Proof, make_task
from agents.conversations.solved import solved_share
from agents.conversations.task import gold_world, rubric
from agents.conversations.trajectory import QUIET, Case, Conversation, Trajectory, simulate
from agents.conversations.users import PERSONAS
from agents.worlds.reading import authored
from agents.worlds.surface import Surface, shaped, surface
from agents.worlds.world import World


@pytest.fixture(scope="module")
def proofs() -> list[tuple[Surface, int, str, Proof]]:
    """Three tasks of every application, of all personas, with one to four wishes."""
    made = []
    for index, app in enumerate(authored().values()):
        for seed in range(3):
            desk, persona = shaped(app, (index + seed) % 4), PERSONAS[(index + seed) % len(PERSONAS)]
            made.append((desk, seed, persona, make_task(desk, seed, 1 + (index + seed) % 4, persona)))
    return made


def case(desk: Surface, proof: Proof, persona: str, seed: int) -> Case:
    agent = Agent("a", "You are exact.", desk.app.name, desk.number, tuple(desk.app.actions), thinks=False)
    return Case(desk, proof.task, agent, persona, seed, QUIET)


def test_almost_every_drawn_task_is_solved_in_every_application(proofs: list[tuple[Surface, int, str, Proof]]) -> None:
    failed = sum(proof.failed for *_, proof in proofs)
    assert len(proofs) / (len(proofs) + failed) >= 0.95
    assert {desk.app.name for desk, *_ in proofs} == set(authored())
    for name in list(authored())[::16]:
        assert solved_share(authored()[name], tasks=9) >= 0.9, name


def test_tasks_are_of_many_kinds_and_say_what_they_need(proofs: list[tuple[Surface, int, str, Proof]]) -> None:
    kinds = Counter(goal.expected for *_, proof in proofs for goal in proof.task.goals)
    assert set(kinds) == {"done", "told", "fails", "forbidden", "stranger", "declined", "outside"}
    assert 0.4 < kinds["done"] / kinds.total() < 0.8
    held_back = Counter(
        what
        for *_, proof in proofs
        for goal in proof.task.goals
        for what in ("missing", "slip", "fallback", "credential")
        if getattr(goal, what)
    )
    assert len(held_back) == 4 and min(held_back.values()) >= 3, held_back
    for desk, _, _, proof in proofs:
        task = proof.task
        assert set(task.tools) <= set(desk.tools) and len(set(task.tools)) == len(task.tools)
        assert sorted(number for turn in task.turns for number in turn) == list(range(len(task.goals)))
        for goal in task.goals:
            if goal.kind == "do":
                assert desk.by_action[goal.action].name in task.tools
                assert goal.slip not in {key for table in gold_world(desk, task).tables.values() for key in table}
            criteria = rubric(desk.app, task)["success"]
            wanted = goal.wanted()
            assert (
                wanted is None
                or {"must": "happen", "call": wanted.action, "with": wanted.stored(), "wish": wanted.says} in criteria
            )
        assert json.loads(json.dumps(rubric(desk.app, task)))["at_most_calls"] == 2 * task.calls + 6


def test_the_gold_world_is_what_the_wishes_do_one_after_the_other(
    proofs: list[tuple[Surface, int, str, Proof]],
) -> None:
    for desk, seed, persona, proof in proofs[::4]:
        world = World.generate(desk.app, proof.task.world_seed)
        for goal in proof.task.goals:
            goal = goal if goal.expected == "done" else goal.fallback if goal.expected == "fails" else None  # type: ignore[assignment]
            if goal is not None and goal.kind == "do":
                world.run(desk.app.actions[goal.action], goal.stored())
        assert gold_world(desk, proof.task).state_hash() == world.state_hash()
        done = simulate(case(desk, proof, persona, seed))
        assert done.verdict.kept and done.state_hash == world.state_hash() and done.n_calls == proof.task.calls


def _judged(case_: Case, done: Trajectory, messages: list[dict[str, object]]) -> bool:
    """Whether a conversation with these messages, their calls run again, is kept."""
    talk = Conversation(case_)
    for message in messages:
        for call in message.get("tool_calls") or []:  # type: ignore[attr-defined]
            talk.call(call["function"]["name"], json.loads(call["function"]["arguments"]))
    asked, user = {}, case_.user()
    user.opening()
    asked |= dict.fromkeys(user.asked, 1)
    held = Held(case_.surface, case_.task, messages, talk.simulator.log, talk.world, asked)
    return judge(held, "answered").kept


def test_an_idle_agent_and_one_that_leaves_out_the_last_change_dont_pass() -> None:
    idle = unfinished = 0
    for index, app in enumerate(list(authored().values())[::2]):
        desk = shaped(app, index % 3)
        proof = next(
            made
            for made in (make_task(desk, seed, 1) for seed in range(40))
            if made.task.goals[0].expected == "done" and made.task.goals[0].kind == "do"
        )
        played = case(desk, proof, "plain", 1)
        done = simulate(played)
        assert done.verdict.kept and _judged(played, done, done.messages)
        idle += not _judged(played, done, [*done.messages[:2], {"role": "assistant", "content": "It is done."}])
        name = desk.by_action[proof.task.goals[0].action].name
        left = [
            message
            for message in done.messages
            if not any(call["function"]["name"] == name for call in message.get("tool_calls") or [])
            and not str(message.get("tool_call_id", "")).startswith(f"functions.{name}:")
        ]
        assert len(left) < len(done.messages)
        unfinished += not _judged(played, done, left)
    assert idle == unfinished == len(list(authored())[::2])


def test_an_agent_that_says_nothing_but_answers_keeps_no_task(proofs: list[tuple[Surface, int, str, Proof]]) -> None:
    for desk, seed, persona, proof in proofs[::3]:
        made = case(desk, proof, persona, seed)
        talk = Conversation(made).talk(made.user())
        next(talk)
        try:
            while True:
                talk.send({"role": "assistant", "content": "I have done all that you wanted."})
        except StopIteration as end:
            assert not end.value.verdict.kept


def test_a_user_who_thinks_better_of_a_value_gets_the_new_one() -> None:
    changed = 0
    for app in list(authored().values())[::3]:
        confirmed = {name for policy in app.policies if policy.kind == "confirm" for name in policy.actions}
        reads = [action.name for action in app.actions.values() if action.reads]
        if not any(p.type.base != "ref" for name in confirmed for p in app.actions[name].parameters):
            continue
        for seed in range(5):
            desk = shaped(app, seed)
            proof = make_task(desk, seed, 1, "fickle", actions=[*reads, *confirmed])
            (goal,) = proof.task.goals
            if not goal.corrected:
                continue
            changed += 1
            done = simulate(case(desk, proof, "fickle", seed))
            ((name, value),) = goal.corrected.items()
            assert done.verdict.kept and value != goal.arguments[name] and goal.stored()[name] == value
            arguments = [
                desk.tools[call["function"]["name"]].read(json.loads(call["function"]["arguments"]))
                for message in done.messages
                for call in message.get("tool_calls") or []
                if call["function"]["name"] == desk.by_action[goal.action].name
            ]
            assert [each[name] for each in arguments] == [value]
    assert changed >= 5


ELSEWHERE = """
from agents.conversations.making import make_task
from agents.worlds.reading import authored
from agents.worlds.surface import shaped
for k, app in enumerate(list(authored().values())[::9]):
    print(make_task(shaped(app, k), 7, 3, "fickle"))
"""


def test_every_process_draws_the_same_tasks() -> None:
    said = []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", ELSEWHERE]
        said.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert said[0] == said[1] and said[0].count("\n") == len(list(authored())[::9])


def test_a_task_keeps_to_the_tools_that_an_agent_has() -> None:
    desk = surface("rail_tickets", 0)
    allowed = ["find_traveller", "search_trains", "get_train", "book_ticket"]
    for seed in range(6):
        task = make_task(desk, seed, 2, actions=allowed, distractors=0).task
        assert set(task.tools) <= set(allowed)
        assert {goal.action for goal in task.goals} <= {*allowed, ""}
    few = make_task(desk, 3, 1, distractors=0).task
    many = make_task(desk, 3, 1, distractors=20).task
    assert (
        set(few.tools) < set(many.tools) == set(desk.tools) and replace(many, tools=few.tools, calls=few.calls) == few
    )


def test_a_drawn_task_that_is_not_solved_is_counted_and_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    desk, spoilt = surface("rail_tickets", 0), [True, True]

    def sometimes(played: Case) -> Trajectory:
        done = simulate(played)
        return replace(done, verdict=replace(done.verdict, kept=False)) if spoilt and spoilt.pop() else done

    plain = make_task(desk, 4, 2)
    monkeypatch.setattr("agents.conversations.making.simulate", sometimes)
    again = make_task(desk, 4, 2)
    assert (plain.failed, again.failed) == (0, 2) and again.task != plain.task
    spoilt[:] = [True] * 100
    with pytest.raises(NoTask) as none:
        make_task(desk, 4, 2)
    assert none.value.failed == 6


def test_tools_that_change_nothing_make_no_task() -> None:
    with pytest.raises(NoTask, match="no task of 1 goals with seed 1") as none:
        make_task(surface("rail_tickets", 0), 1, 1, actions=["get_ticket"])
    assert none.value.failed == 0
