"""Who serves: a system prompt, a set of tools, and of the embedded agent its skill and its manner."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from agents.conversations.words import tidied
from agents.worlds.application import Application
from agents.worlds.surface import Surface

VIRTUES = ("careful", "quick", "friendly", "exact", "calm", "attentive", "patient", "thorough", "helpful", "sober")
HABITS = (
    "Use the tools.",
    "Do only what is asked.",
    "Say when something fails.",
    "Keep answers short.",
    "Ask when a detail is missing.",
    "Never guess an id.",
    "Look things up instead of guessing.",
    "Tell the user what you did.",
)


@dataclass(frozen=True)
class Agent:
    """Who acts.

    Attributes:
        slip, recover: of the embedded agent: how often a step goes wrong, and how often it repairs that.
        thinks: whether it writes down what a step is for. together: whether it makes calls that don't wait for each
            other in one step. patience: how often it repeats a call that failed for a moment.
        author: of the system prompt, `grammar` or `llm`.
    """

    id: str
    system: str
    application: str
    shape: int
    actions: tuple[str, ...]
    slip: float = 0.0
    recover: float = 1.0
    thinks: bool = True
    together: bool = False
    patience: int = 2
    author: str = "grammar"


def make_agent(number: int, seed: int, surfaces: Sequence[Surface], thoughts: float = 0.5) -> Agent:
    """The agent with this number; equal for equal arguments.

    Args:
        thoughts: share of the agents that think aloud.
    """
    rng = Random(f"{seed}|agent|{number}")
    surface = rng.choice(surfaces)
    writes = [action.name for action in surface.app.writes]
    able = set(rng.sample(writes, max(min(3, len(writes)), round(len(writes) * rng.uniform(0.5, 1.0)))))
    actions = tuple(name for name, action in surface.app.actions.items() if action.reads or name in able)
    habits = " ".join(rng.sample(HABITS, rng.randint(1, 2)))
    system = f"{tidied(f'You are a {rng.choice(VIRTUES)} assistant of {surface.app.desk}.')} {habits}"
    slips = rng.random() < 0.5
    return Agent(
        f"agent-{number}",
        system,
        surface.app.name,
        surface.number,
        actions,
        slip=rng.uniform(0.02, 0.2) if slips else 0.0,
        recover=rng.uniform(0.5, 1.0),
        thinks=rng.random() < thoughts,
        together=rng.random() < 0.6,
        patience=rng.randint(1, 2),
    )


def prompt(agent: Agent, app: Application) -> str:
    """The system message: who the agent is, what day it is, and the rules of the desk."""
    rules = "".join(f"\n- {policy.text}" for policy in app.policies)
    return f"{agent.system} Today is {app.today.isoformat()}.{f' Rules:{rules}' if rules else ''}"
