"""`trajectories` in params.yaml."""

from pydantic import Field, model_validator

from stages.section import Section


class TrajectoriesParams(Section):
    """Simulated conversations. easy_share: tasks of one subgoal named by id, with few tools in the context."""

    count: int = Field(ge=1)
    agents: int = Field(ge=1)
    max_subgoals: int = Field(ge=1, le=16)
    easy_share: float = Field(ge=0, le=1)
    easy_distractors: int = Field(ge=0)
    distractors: int = Field(ge=0)
    personas: list[str]
    shard: int = Field(ge=1)

    @model_validator(mode="after")
    def _known(self) -> "TrajectoriesParams":
        from agents.users import PERSONAS

        for persona in self.personas:
            if persona not in PERSONAS:
                raise ValueError(f"unknown persona {persona!r}; known: {', '.join(PERSONAS)}")
        return self
