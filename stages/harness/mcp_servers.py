"""The user's MCP servers (`tools.mcp_servers`), which `tools` harvests and `trajectories` may call."""

from typing import Any

from pydantic import TypeAdapter, ValidationError, model_validator

from agents.servers.own import default_name
from stages.harness.errors import InputError
from stages.harness.inputs import CommandWord
from stages.harness.section import Section, load_yaml


class McpServer(Section):
    """A user's MCP server.

    server: a URL, or a command as a list of words. name: of its tools in the data; by default from the URL or command.
    execute: whether conversations really call it; otherwise its results are made up, true to the declarations.
    """

    server: str | list[CommandWord]
    name: str = ""
    execute: bool = False

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        """A URL or a command alone is a server."""
        given = value if isinstance(value, dict) else {"server": value}
        server = given.get("server")
        words = isinstance(server, list) and all(isinstance(word, str) for word in server)
        if not server or not (words or isinstance(server, str)):
            raise ValueError(f"{value!r}: neither a URL, nor a command as a list of words, nor a `server` that is one")
        return given

    @property
    def called(self) -> str:
        return self.name or default_name(self.server)


def own_servers() -> list[McpServer]:
    """Those of params.yaml, for a stage that doesn't have the section; raises InputError."""
    try:
        return TypeAdapter(list[McpServer]).validate_python(load_yaml()["tools"]["mcp_servers"])
    except (KeyError, TypeError):
        raise InputError("params.yaml: tools.mcp_servers: missing") from None
    except ValidationError as error:
        raise InputError(f"params.yaml: tools.mcp_servers: {error.errors()[0]['msg']}") from None
