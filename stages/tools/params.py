"""`tools` in params.yaml."""

from pydantic import Field, model_validator

from stages.harness.endpoint import check_teacher
from stages.harness.inputs import InputPath, ModelSpec
from stages.harness.mcp_servers import McpServer
from stages.harness.section import Section


class ToolsParams(Section):
    """Where tools come from.

    real: how many operations of real services. functions: at most so many functions of installed Python packages.
    everyday: whether the authored everyday tools are among them.
    shapes: how many times the tools of each application occur, in other words and forms each time.
    applications: files of yours that join the authored ones.
    mcp_servers: of the user, whose tools are harvested: each a URL, a command as a list of words, or an `McpServer`.
    teacher: none, or a URL, which invents `invented` applications in each domain.
    """

    real: int = Field(ge=0)
    functions: int = Field(ge=0)
    everyday: bool
    shapes: int = Field(ge=0)
    applications: list[InputPath]
    mcp_servers: list[McpServer]
    near_dup_threshold: float = Field(gt=0, le=1)
    teacher: ModelSpec
    invented: int = Field(ge=0)

    @model_validator(mode="after")
    def _known(self) -> "ToolsParams":
        check_teacher("teacher", self.teacher, ["none"])
        names = [server.called for server in self.mcp_servers]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"mcp_servers: two are called {twice[0]}; give one a name")
        return self
