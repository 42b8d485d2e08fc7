"""`trajectories` in params.yaml."""

from pydantic import Field, model_validator

from stages.section import Section
from stages.teacher import EndpointParams, is_endpoint


class TrajectoriesParams(Section):
    """Simulated conversations and coding sessions.

    easy_share: tasks of one subgoal named by id, with few tools in the context. coding: repairs in a sandbox.
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
    teacher: str
    endpoint: EndpointParams
    worded: int = Field(ge=0)
    judge: str
    judged: int = Field(ge=0)

    @model_validator(mode="after")
    def _known(self) -> "TrajectoriesParams":
        from agents.users import PERSONAS

        for persona in self.personas:
            if persona not in PERSONAS:
                raise ValueError(f"unknown persona {persona!r}; known: {', '.join(PERSONAS)}")
        for key, spec in (("teacher", self.teacher), ("judge", self.judge)):
            if spec not in ("embedded", *(["none"] if key == "judge" else [])) and not is_endpoint(spec):
                raise ValueError(f"{key} {spec!r}: neither embedded nor a URL{' nor none' if key == 'judge' else ''}")
            if is_endpoint(spec) and not self.endpoint.model:
                raise ValueError(f"endpoint.model: a {key} behind a URL needs the name of its model")
        return self
