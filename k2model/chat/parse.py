"""What a K2 model's turn is made of: thinking, content and tool calls, and what can be wrong with them.

`k2model.chat.turn` reads a turn from its token ids. Whatever is not a well-formed part of the format is kept as it was
written, with a typed error that says what is wrong.
"""

import json
import re
from dataclasses import dataclass, field
from enum import StrEnum

from k2model.chat.model_json import ModelJsonError, loads_arguments

THINK, END_THINK = "<think>", "</think>"
SECTION, END_SECTION = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
CALL, ARGUMENTS, END_CALL = "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"
# The official pattern [\w\.]+:\d+ rejects names that MCP servers use: hyphens, colons, blanks, other scripts.
CALL_ID = re.compile(r"(?:functions\.)?(?P<name>.+):(?P<index>[0-9]+)", re.DOTALL)


class Problem(StrEnum):
    """What can be wrong with generated text."""

    OPEN_THINK = "thinking has no end"
    OPEN_SECTION = "the tool section has no end"
    OPEN_CALL = "a tool call has no end"
    NO_ARGUMENTS = "a tool call has no argument marker"
    BAD_ID = "a call id isn't functions.NAME:IDX"
    BAD_JSON = "arguments aren't a JSON object"
    STRAY_TEXT = "text between tool calls"
    STRAY_MARKER = "a marker outside its place"


@dataclass(frozen=True)
class ParseError:
    """A problem and the text it is about."""

    problem: Problem
    text: str


@dataclass(frozen=True)
class ToolCall:
    """A call whose arguments are a JSON object, as the text that was written."""

    id: str
    name: str
    arguments: str


@dataclass
class Parsed:
    """reasoning + content + tool_calls, and for all that is neither: `errors` with the text itself."""

    reasoning: str = ""
    content: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    errors: list[ParseError] = field(default_factory=list)

    def message(self) -> dict[str, object]:
        """The assistant message in the OpenAI shape."""
        message: dict[str, object] = {"role": "assistant", "content": self.content}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.tool_calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self.tool_calls
            ]
        return message


def read_call(written: str, arguments: str | None, inside: str) -> ToolCall | ParseError:
    """The call of an id and its arguments (None: the marker between them is missing), or what is wrong with it."""
    match = CALL_ID.fullmatch(written.strip())
    if arguments is None:
        return ParseError(Problem.NO_ARGUMENTS, inside)
    if match is None:
        return ParseError(Problem.BAD_ID, inside)
    try:
        values = loads_arguments(arguments)
    except ModelJsonError:
        return ParseError(Problem.BAD_JSON, inside)
    # A half surrogate pair in the text would break the client that reads it.
    text = json.dumps(values, ensure_ascii=False) if not values or "\\ud" in arguments.lower() else arguments.strip()
    return ToolCall(written.strip(), match["name"], text)
