"""Cases that a model acts in; run as a process that a test kills: URL of an endpoint, answer store, number of cases."""

import sys
from pathlib import Path

from agents.chat.endpoint import EndpointClient, EndpointOptions
from agents.chat.store import AnswerStore, CachedClient
from agents.conversations.agents import Agent
from agents.conversations.llm_agent import Acting, act
from agents.conversations.making import make_task
from agents.conversations.trajectory import QUIET, Case
from agents.conversations.users import PERSONAS
from agents.worlds.reading import authored
from agents.worlds.surface import shaped

ACTING = Acting(max_tokens=256, temperature=1.0, context_tokens=100_000, max_steps=60)


def cases_of(count: int) -> list[Case]:
    """One a desk, in a quiet world, of every persona, with one to four wishes."""
    cases = []
    for number, app in enumerate(list(authored().values())[:count]):
        desk, persona = shaped(app, number % 4), PERSONAS[number % len(PERSONAS)]
        task = make_task(desk, number, 1 + number % 4, persona).task
        agent = Agent(f"a{number}", "You are exact.", app.name, desk.number, tuple(app.actions), thinks=False)
        cases.append(Case(desk, task, agent, persona, number, QUIET))
    return cases


if __name__ == "__main__":
    url, store, count = sys.argv[1:]
    client = CachedClient(EndpointClient(url, EndpointOptions("mock", concurrency=4)), AnswerStore(Path(store)))
    act(client, cases_of(int(count)), ACTING, lambda index, done: print(index, flush=True))
