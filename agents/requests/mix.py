"""What conversations on declared tools are made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mix:
    """Where the tools that are asked for come from (weights), and shares.

    beside: of everyday tools among those declared beside. Of conversations: dependent (two calls or more that go on
    with an earlier result), errors (in a result), parallel, no_tool, ask_back, thoughts.
    """

    everyday: float
    library: float
    service: float
    mcp: float
    parallel: float
    no_tool: float
    ask_back: float
    beside: float
    thoughts: float
    dependent: float = 0.0
    errors: float = 0.0
