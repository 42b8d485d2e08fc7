"""`tools` in params.yaml."""

from pydantic import Field, model_validator

from stages.harness.section import Section
from stages.harness.teacher import EndpointParams, is_endpoint


class ToolsParams(Section):
    """Where tools come from.

    real: how many operations of real services. synthetic_per_kind: tools of each kind of entity, 0 for all.
    mcp_servers: URLs, or commands as lists of words, of MCP servers whose tools are harvested.
    teacher: rewords `worded` descriptions; behind a URL it invents `applications` in each domain, each with `kinds` of
    records, and their tools.
    """

    real: int = Field(ge=0)
    synthetic_per_kind: int = Field(ge=0)
    mcp_servers: list[str | list[str]]
    near_dup_threshold: float = Field(gt=0, le=1)
    teacher: str
    endpoint: EndpointParams
    worded: int = Field(ge=0)
    applications: int = Field(ge=0)
    kinds: int = Field(ge=1)

    @model_validator(mode="after")
    def _known(self) -> "ToolsParams":
        if self.teacher != "embedded" and not is_endpoint(self.teacher):
            raise ValueError(f"teacher {self.teacher!r}: neither embedded nor a URL")
        if is_endpoint(self.teacher) and not self.endpoint.model:
            raise ValueError("endpoint.model: a teacher behind a URL needs the name of its model")
        return self
