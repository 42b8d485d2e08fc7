"""System prompts of agents, written by a language model; the rules of the desk follow word for word."""

import re
from collections.abc import Sequence
from dataclasses import replace

from agents.chat.protocol import ChatClient, ChatRefusal, ChatRequest
from agents.conversations.agents import Agent
from k2model.chat.model_json import ModelJsonError, loads_model_json

LENGTH = (20, 400)  # characters
TASK = "You write system prompts for AI agents. Answer with JSON alone."
REWORD = (
    "Reword this system prompt in one to three sentences, with a character of its own. State no further rules. "
    "Prompt: {prompt}"
)
_SCHEMA = {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]}


def write_prompts(client: ChatClient, agents: Sequence[Agent], seed: int) -> list[Agent]:
    """The agents with prompts of the model; an answer that is no prompt, or none, leaves an agent with its own.

    Raises:
        ChatError: no request can be answered.
    """
    requests = [
        ChatRequest(
            (
                {"role": "system", "content": TASK},
                {"role": "user", "content": REWORD.format(prompt=agent.system)},
            ),
            max_tokens=200,
            temperature=0.9,
            seed=seed + index,
            response_schema=_SCHEMA,
        )
        for index, agent in enumerate(agents)
    ]
    written = []
    for agent, answer in zip(agents, client.complete(requests), strict=True):
        text = "" if isinstance(answer, ChatRefusal) else _prompt(answer.text)
        written.append(replace(agent, system=text, author="llm") if text else agent)
    return written


def _prompt(answer: str) -> str:
    """The prompt in an answer, or an empty text when it is none."""
    try:
        text = loads_model_json(answer)["prompt"]
    except (ModelJsonError, KeyError, TypeError):
        return ""
    text = " ".join(str(text).split())
    return text if LENGTH[0] <= len(text) <= LENGTH[1] and not re.search(r"[<>{}|]", text) else ""
