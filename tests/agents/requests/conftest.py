"""Conversations on a part of all tools, made once."""

from itertools import islice

import pytest

from agents.requests.conversation import Conversation, Requests
from agents.requests.mix import Mix
from agents.tools.everyday import everyday_tools
from agents.tools.library import functions
from agents.tools.real import aws, google
from stages.tools.__main__ import _specified

MIX = Mix(
    everyday=0.52,
    library=0.2,
    service=0.28,
    mcp=0.0,
    parallel=0.09,
    no_tool=0.13,
    ask_back=0.08,
    dependent=0.6,
    errors=0.2,
    beside=0.15,
    thoughts=0.3,
)
COUNT = 2000
KINDS = tuple("call parallel dependent no_tool ask_back busy denied missing search limit exists spelling".split())
LIBRARY = ("statistics", "calendar", "textwrap", "colorsys", "shutil", "base64", "heapq", "math")


@pytest.fixture(scope="session")
def requests() -> Requests:
    real = [*islice(aws(), 1200), *islice(google(), 600), *functions(LIBRARY)]
    return Requests(everyday_tools(), [_specified(tool) for tool in real], MIX, 7)


@pytest.fixture(scope="session")
def made(requests: Requests) -> list[Conversation]:
    return [requests.make(number) for number in range(COUNT)]
