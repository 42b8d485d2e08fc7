"""`tools` in params.yaml."""

from pydantic import Field, model_validator

from stages.harness.endpoint import check_teacher
from stages.harness.inputs import CommandWord, ModelSpec
from stages.harness.section import Section


class ToolsParams(Section):
    """Where tools come from.

    real: how many operations of real services. functions: at most so many functions of installed Python packages.
    everyday: whether the authored everyday tools are among them.
    synthetic_per_kind: tools of each kind of entity, 0 for all.
    mcp_servers: URLs, or commands as lists of words, of MCP servers whose tools are harvested.
    teacher: rewords `worded` descriptions; behind a URL it invents `applications` in each domain, each with `kinds` of
    records, and their tools.
    """

    real: int = Field(ge=0)
    functions: int = Field(ge=0)
    everyday: bool
    synthetic_per_kind: int = Field(ge=0)
    mcp_servers: list[str | list[CommandWord]]
    near_dup_threshold: float = Field(gt=0, le=1)
    teacher: ModelSpec
    worded: int = Field(ge=0)
    applications: int = Field(ge=0)
    kinds: int = Field(ge=1)

    @model_validator(mode="after")
    def _known(self) -> "ToolsParams":
        check_teacher("teacher", self.teacher, ["embedded"])
        return self
