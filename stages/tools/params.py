"""`tools` in params.yaml."""

from pydantic import Field

from stages.section import Section


class ToolsParams(Section):
    """Where tools come from.

    real: how many operations of real services. synthetic_per_kind: tools of each kind of entity, 0 for all.
    mcp_servers: URLs, or commands as lists of words, of MCP servers whose tools are harvested.
    """

    real: int = Field(ge=0)
    synthetic_per_kind: int = Field(ge=0)
    mcp_servers: list[str | list[str]]
    near_dup_threshold: float = Field(gt=0, le=1)
