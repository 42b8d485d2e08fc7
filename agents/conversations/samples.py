"""Short conversations of every application that may be trained on: what the chat format and tools look like."""

from collections.abc import Iterator
from itertools import count, islice

from agents.conversations.agents import Agent
from agents.conversations.making import NoTask, make_task
from agents.conversations.trajectory import QUIET, Case, Trajectory, simulate
from agents.worlds.reading import apart
from agents.worlds.surface import surface


def samples(n: int, seed: int) -> list[Trajectory]:
    """`n` conversations about one wish each, one application after the other, and then in other shapes."""
    return list(islice(_all(seed), n))


def _all(seed: int) -> Iterator[Trajectory]:
    apps = [app.name for app in apart(held=False)]
    for number in count():
        desk = surface(apps[number % len(apps)], number // len(apps))
        try:
            task = make_task(desk, seed + number, 1, distractors=1).task
        except NoTask:
            continue
        agent = Agent("sample", "Use the tools.", desk.app.name, desk.number, tuple(desk.app.actions))
        yield simulate(Case(desk, task, agent, "plain", seed + number, QUIET))
