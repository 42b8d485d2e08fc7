"""Conversations at the desks of held applications, served by a network in memory and judged by the rules."""

from agents.chat.checkpoint import CheckpointClient
from agents.conversations.agents import make_agent
from agents.conversations.llm_agent import Acting, act
from agents.conversations.making import NoTask, make_task
from agents.conversations.trajectory import QUIET, Case, Trajectory
from agents.worlds.reading import apart
from agents.worlds.surface import surface
from k2model.chat.tokenizer import K2Tokenizer
from k2model.model import K2Model

ROWS = 16
ACTING = Acting(max_tokens=192, temperature=0.0, context_tokens=2048, max_steps=12)
PERSONAS = ("plain", "polite", "terse", "chatty", "formal")


def held_cases(count: int) -> list[Case]:
    """The same cases for everybody: one wish each, in turn at the desks of the applications kept for measuring."""
    held = apart(held=True)
    cases: list[Case] = []
    seed = 0
    while len(cases) < count:
        app = held[seed % len(held)]
        desk = surface(app.name, seed // len(held) % 3)
        persona = PERSONAS[seed % len(PERSONAS)]
        seed += 1
        try:
            proof = make_task(desk, seed, 1, persona, distractors=2)
        except NoTask:
            continue
        cases.append(Case(desk, proof.task, make_agent(seed, 0, [desk]), persona, seed, QUIET))
    return cases


def served(model: K2Model, tokenizer: K2Tokenizer, cases: list[Case]) -> list[int]:
    """1 for each case that the judge keeps, else 0; greedy, free of any grammar."""
    ended: dict[int, Trajectory] = {}
    client = CheckpointClient(model, tokenizer, model="in memory", rows=ROWS)
    act(client, cases, ACTING, ended.__setitem__)
    return [int(ended[k].verdict.kept) for k in range(len(cases))]
