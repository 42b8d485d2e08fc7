"""System prompts of agents, written by a language model; the rules of an agent's policy follow word for word."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace

from agents.chat.protocol import ChatClient, ChatRequest
from agents.conversations.planner import Agent

LENGTH = (20, 400)  # characters
_SCHEMA = {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]}


def write_prompts(client: ChatClient, agents: Sequence[Agent], seed: int) -> list[Agent]:
    """The agents with prompts of the model; an answer that is no prompt leaves an agent with its own.

    Raises:
        ChatError: the endpoint failed.
    """
    requests = [
        ChatRequest(
            (
                {"role": "system", "content": "You write system prompts for AI agents. Answer with JSON alone."},
                {
                    "role": "user",
                    "content": "Reword this system prompt in one to three sentences, with a character of its own. "
                    f"State no further rules. Prompt: {_own(agent)}",
                },
            ),
            max_tokens=200,
            temperature=0.9,
            seed=seed + place,
            response_schema=_SCHEMA,
        )
        for place, agent in enumerate(agents)
    ]
    found = []
    for agent, answer in zip(agents, client.complete(requests), strict=True):
        text = _prompt(answer.text)
        found.append(replace(agent, system=f"{text} {agent.policy.rules()}".rstrip(), author="llm") if text else agent)
    return found


def _own(agent: Agent) -> str:
    return agent.system.removesuffix(agent.policy.rules()).rstrip()


def _prompt(answer: str) -> str:
    """The prompt in an answer, or an empty text when it is none."""
    try:
        text = json.loads(answer)["prompt"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return ""
    text = " ".join(str(text).split())
    return text if LENGTH[0] <= len(text) <= LENGTH[1] and not re.search(r"[<>{}|]", text) else ""
