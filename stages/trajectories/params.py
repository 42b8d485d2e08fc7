"""`trajectories` in params.yaml."""

from typing import Literal, Self

from pydantic import Field, model_validator

from agents.requests.mix import Mix
from stages.harness.endpoint import check_teacher
from stages.harness.inputs import ModelSpec
from stages.harness.section import Section


class ActingParams(Section):
    """Of an agent behind a URL: limits of a turn and of a conversation, see `agents/conversations/llm_agent.py`."""

    max_tokens: int = Field(ge=1)
    temperature: float = Field(ge=0)
    context_tokens: int = Field(ge=1)
    max_steps: int = Field(ge=1)


class SingleParams(Section):
    """Conversations of one turn on declared tools, which end with the call; see `agents/requests/singles.py`.

    everyday, library, service, mcp: weights of authored everyday tools, functions of Python packages, operations of
    services, and tools of harvested MCP servers, which count where there are some.
    beside: share of everyday tools among those declared beside. parallel, no_tool, ask_back, thoughts: shares of
    conversations.
    """

    count: int = Field(ge=0)
    everyday: float = Field(ge=0)
    library: float = Field(ge=0)
    service: float = Field(ge=0)
    mcp: float = Field(ge=0)
    beside: float = Field(ge=0, le=1)
    parallel: float = Field(ge=0, le=1)
    no_tool: float = Field(ge=0, le=1)
    ask_back: float = Field(ge=0, le=1)
    thoughts: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _weights(self) -> Self:
        if not self.everyday + self.library + self.service:
            raise ValueError("everyday, library and service are all 0")
        return self

    @property
    def mix(self) -> Mix:
        return Mix(**self.model_dump(exclude={"count"}))


class RequestParams(SingleParams):
    """Whole conversations on declared tools without a world; see `agents/requests/conversation.py`.

    dependent, errors: shares of conversations.
    """

    dependent: float = Field(ge=0, le=1)
    errors: float = Field(ge=0, le=1)


class TrajectoriesParams(Section):
    """Simulated conversations and coding sessions.

    count: conversations in worlds, each of one wish (`easy_share`, with `easy_distractors` further tools) or up to
    `max_goals` (with `distractors`). thoughts: share of the agents that write down what a step is for.
    agent: planner, which finds out what it needs and slips now and then; or a URL, whose model acts.
    user: scripted, or agent: the model that acts plays him too.
    teacher: none, or a URL, which words the wishes of `worded` conversations and the agents' prompts.
    judge: none, embedded or a URL; reads `judged` conversations that passed the checks and decides about them.
    servers: conversations that call real MCP servers of packages in a sandbox. executed: those that call each server of
    tools.mcp_servers with `execute: true`.
    coding: repairs in a sandbox.
    """

    count: int = Field(ge=1)
    agents: int = Field(ge=1)
    max_goals: int = Field(ge=1, le=12)
    easy_share: float = Field(ge=0, le=1)
    easy_distractors: int = Field(ge=0)
    distractors: int = Field(ge=0)
    personas: list[str]
    thoughts: float = Field(ge=0, le=1)
    shard: int = Field(ge=1)
    servers: int = Field(ge=0)
    executed: int = Field(ge=0)
    coding: int = Field(ge=0)
    agent: ModelSpec
    acting: ActingParams
    user: Literal["scripted", "agent"]
    teacher: ModelSpec
    worded: int = Field(ge=0)
    judge: ModelSpec
    judged: int = Field(ge=0)
    requests: RequestParams
    singles: SingleParams

    @model_validator(mode="after")
    def _known(self) -> "TrajectoriesParams":
        from agents.conversations.users import PERSONAS

        for persona in self.personas:
            if persona not in PERSONAS:
                raise ValueError(f"unknown persona {persona!r}; known: {', '.join(PERSONAS)}")
        local = {"agent": ["planner"], "teacher": ["none"], "judge": ["none", "embedded"]}
        for key, names in local.items():
            check_teacher(key, str(getattr(self, key)), names)
        if self.user == "agent" and self.agent == "planner":
            raise ValueError("user agent: the planner can't play the user; agent must be a URL#model")
        return self
