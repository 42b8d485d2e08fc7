"""Reading what a K2 model wrote: thinking, content and tool calls, with nothing dropped.

Generated text may be cut anywhere or malformed. Whatever is not a well-formed part of the format stays in the
content or the reasoning as it was written, and a typed error says what is wrong.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

THINK, END_THINK = "<think>", "</think>"
SECTION, END_SECTION = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
CALL, ARGUMENTS, END_CALL = "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"
END_OF_TURN = ("<|im_end|>", "[EOS]", "[EOT]")
# The official pattern [\w\.]+:\d+ rejects names with a hyphen, which MCP servers use.
CALL_ID = re.compile(r"(?:functions\.)?(?P<name>[^\s:<>]+):(?P<index>\d+)")


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
        found: dict[str, object] = {"role": "assistant", "content": self.content}
        if self.reasoning:
            found["reasoning_content"] = self.reasoning
        if self.tool_calls:
            found["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self.tool_calls
            ]
        return found


def parse_completion(text: str) -> Parsed:
    """Reads the text after the generation prompt; a leading `<think>` may be absent. Never raises."""
    parsed = Parsed()
    for end in END_OF_TURN:
        text = text.removesuffix(end)
    rest = text
    if rest.startswith(THINK):
        body, closed, after = rest[len(THINK) :].partition(END_THINK)
        parsed.reasoning = body
        if not closed:
            parsed.errors.append(ParseError(Problem.OPEN_THINK, body))
            return parsed
        rest = after
    before, opened, section = rest.partition(SECTION)
    parsed.content = before
    if opened:
        body, closed, after = section.partition(END_SECTION)
        if not closed:
            parsed.errors.append(ParseError(Problem.OPEN_SECTION, section))
        _calls(body, parsed)
        if after:
            parsed.content += after
    for place in (parsed.content, parsed.reasoning):
        for marker in (THINK, END_THINK, SECTION, END_SECTION, CALL, ARGUMENTS, END_CALL):
            if marker in place:
                parsed.errors.append(ParseError(Problem.STRAY_MARKER, marker))
    return parsed


def _calls(body: str, parsed: Parsed) -> None:
    pieces = body.split(CALL)
    if pieces[0].strip():
        parsed.errors.append(ParseError(Problem.STRAY_TEXT, pieces[0]))
    for piece in pieces[1:]:
        inside, closed, after = piece.partition(END_CALL)
        if not closed:
            parsed.errors.append(ParseError(Problem.OPEN_CALL, piece))
            continue
        if after.strip():
            parsed.errors.append(ParseError(Problem.STRAY_TEXT, after))
        written, marked, arguments = inside.partition(ARGUMENTS)
        found = read_call(written, arguments if marked else None, inside)
        (parsed.tool_calls if isinstance(found, ToolCall) else parsed.errors).append(found)  # type: ignore[arg-type]


def read_call(written: str, arguments: str | None, inside: str) -> ToolCall | ParseError:
    """The call of an id and its arguments (None: the marker between them is missing), or what is wrong with it."""
    match = CALL_ID.fullmatch(written.strip())
    if arguments is None:
        return ParseError(Problem.NO_ARGUMENTS, inside)
    if match is None:
        return ParseError(Problem.BAD_ID, inside)
    if not _is_object(arguments):
        return ParseError(Problem.BAD_JSON, inside)
    return ToolCall(written.strip(), match["name"], arguments.strip())


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (json.JSONDecodeError, RecursionError):
        return False


def ids_in_order(calls: Sequence[ToolCall], first: int) -> bool:
    """True when the calls count on from `first`, as the dialog-wide counter wants."""
    return [call.id for call in calls] == [f"functions.{call.name}:{first + k}" for k, call in enumerate(calls)]
