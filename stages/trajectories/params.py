"""`trajectories` in params.yaml."""

from pydantic import Field, model_validator

from stages.harness.endpoint import check_teacher
from stages.harness.inputs import ModelSpec
from stages.harness.section import Section


class ActingParams(Section):
    """Of an agent behind a URL: limits of a turn and of a conversation, see `agents/conversations/llm_agent.py`."""

    max_tokens: int = Field(ge=1)
    temperature: float = Field(ge=0)
    context_tokens: int = Field(ge=1)
    max_steps: int = Field(ge=1)


class RequestParams(Section):
    """Conversations on declared tools without a world; see `agents/requests/conversation.py`.

    everyday, library, service, mcp: weights of authored everyday tools, functions of Python packages, operations of
    services, and tools of harvested MCP servers, which count where there are some.
    parallel, no_tool, ask_back: shares of the turns with several calls, without a fitting tool, with a value missing.
    """

    count: int = Field(ge=0)
    everyday: float = Field(ge=0)
    library: float = Field(ge=0)
    service: float = Field(ge=0)
    mcp: float = Field(ge=0)
    parallel: float = Field(ge=0, le=1)
    no_tool: float = Field(ge=0, le=1)
    ask_back: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _shares(self) -> "RequestParams":
        if not self.everyday + self.library + self.service:
            raise ValueError("everyday, library and service are all 0")
        if self.parallel + self.no_tool + self.ask_back > 1:
            raise ValueError("parallel, no_tool and ask_back are more than 1 together")
        return self


class TrajectoriesParams(Section):
    """Simulated conversations and coding sessions.

    easy_share: tasks of one subgoal named by id, with few tools in the context. coding: repairs in a sandbox.
    agent: planner, which follows a gold plan with mistakes of its own; or a URL, whose model acts.
    teacher: words the requests of `worded` conversations; behind a URL it writes the agents' prompts too.
    judge: none, embedded or a URL; reads `judged` conversations that passed the checks and decides about them.
    """

    count: int = Field(ge=1)
    agents: int = Field(ge=1)
    max_subgoals: int = Field(ge=1, le=16)
    easy_share: float = Field(ge=0, le=1)
    easy_distractors: int = Field(ge=0)
    distractors: int = Field(ge=0)
    personas: list[str]
    shard: int = Field(ge=1)
    coding: int = Field(ge=0)
    agent: ModelSpec
    acting: ActingParams
    teacher: ModelSpec
    worded: int = Field(ge=0)
    judge: ModelSpec
    judged: int = Field(ge=0)
    requests: RequestParams

    @model_validator(mode="after")
    def _known(self) -> "TrajectoriesParams":
        from agents.conversations.users import PERSONAS

        for persona in self.personas:
            if persona not in PERSONAS:
                raise ValueError(f"unknown persona {persona!r}; known: {', '.join(PERSONAS)}")
        local = {"agent": ["planner"], "teacher": ["embedded"], "judge": ["none", "embedded"]}
        for key, names in local.items():
            check_teacher(key, str(getattr(self, key)), names)
        return self
