"""K2-Thinking's chat format in its released form, as text and as token ids.

Messages are in the OpenAI shape: `role`, `content` (text, or a list of `{"type": "text", "text": …}` parts), and for
assistants `reasoning_content` and `tool_calls` with ids `functions.NAME:IDX`. `chat_template.jinja` beside this file
is the same rule for other programs, `{% generation %}` around what is learned; a test holds the two together. With
`keep_last_reasoning` it renders a dialog as `encode_chat` does, for training elsewhere.

Text of a message is encoded apart from the markup, so that no message can forge a turn.
"""

import functools
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2model.chat.model_json import well_formed
from k2model.chat.tokenizer import K2Tokenizer
from k2model.errors import ConfigError

Message = Mapping[str, Any]
Tool = Mapping[str, Any]

TEMPLATE = Path(__file__).with_name("chat_template.jinja").read_text(encoding="utf-8")
DEFAULT_SYSTEM = "You are Kimi, an AI assistant created by Moonshot AI."


@dataclass(frozen=True)
class Encoded:
    """Token ids, and for each whether the assistant wrote it (thinking, content, calls and the end of the turn)."""

    ids: list[int]
    loss_mask: list[bool]


@dataclass(frozen=True)
class _Piece:
    text: str
    markup: bool
    trained: bool = False


def call_id(name: str, index: int) -> str:
    """`functions.NAME:IDX`; the counter runs over the whole dialog (K2 report, Appendix B)."""
    return f"functions.{name}:{index}"


def next_call_index(messages: Sequence[Message]) -> int:
    """The counter's value for the next call of a dialog."""
    return sum(len(message.get("tool_calls") or []) for message in messages)


def canonical(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The dialog as K2 has it, made of what a client sends: call ids are `functions.NAME:IDX`, unread fields go.

    Foreign ids in the history teach a model to write foreign ids (as the official API, this rewrites them). Calls that
    share an id are answered in their order. Clients echo whole answers, so `reasoning` is `reasoning_content`, a
    refusal is content, and whatever else stands in a message (`audio`, `annotations`, `parse_errors`, …) is dropped.
    The role `developer` is `system`. Halves of surrogate pairs become U+FFFD.

    Raises:
        ConfigError: a tool message answers no earlier call; content that isn't text; the old `function_call`.
    """
    open_calls: dict[str, deque[str]] = {}
    renamed: dict[str, str] = {}
    count = 0
    dialog: list[dict[str, Any]] = []
    for index, message in enumerate(well_formed(messages)):
        role = "system" if message["role"] == "developer" else message["role"]
        kept: dict[str, Any] = {"role": role, "content": _text(message, index) or message.get("refusal") or ""}
        kept |= {"name": message["name"]} if message.get("name") else {}
        if message.get("function_call"):
            raise ConfigError(f"messages[{index}].function_call: is not read; calls stand in tool_calls")
        if role == "assistant":
            reasoning = message.get("reasoning_content") or message.get("reasoning")
            kept |= {"reasoning_content": reasoning} if reasoning else {}
        if message.get("tool_calls"):
            kept["tool_calls"] = []
            own: dict[str, deque[str]] = {}
            for call in message["tool_calls"]:
                new = call_id(call["function"]["name"], count)
                own.setdefault(call["id"], deque()).append(new)
                function = {"name": call["function"]["name"], "arguments": _arguments(call)}
                kept["tool_calls"].append({"id": new, "type": "function", "function": function})
                count += 1
            open_calls |= own
        if role == "tool":
            answered = message.get("tool_call_id")
            if open_calls.get(answered):
                renamed[answered] = open_calls[answered].popleft()
            elif answered not in renamed:
                raise ConfigError(f"messages[{index}].tool_call_id: {answered!r} answers no earlier call")
            kept["tool_call_id"] = renamed[answered]
        dialog.append(kept)
    return dialog


def _text(message: Message, index: int = 0) -> str:
    content = message.get("content")
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    texts = []
    for part in content:
        kind = part.get("type")
        if kind not in ("text", "refusal") or not isinstance(part.get(kind), str):
            raise ConfigError(f"messages[{index}].content: a part of type {kind!r}; only text can be read")
        texts.append(part[kind])
    return "".join(texts)


def _arguments(call: Mapping[str, Any]) -> str:
    arguments = call["function"].get("arguments")
    if isinstance(arguments, Mapping):
        return json.dumps(arguments, ensure_ascii=False)
    return arguments if arguments and arguments.strip() else "{}"


def _last_final(messages: Sequence[Message]) -> int:
    """The place of the last assistant message without calls; reasoning up to there is history."""
    indices = [k for k, m in enumerate(messages) if m["role"] == "assistant" and not m.get("tool_calls")]
    return indices[-1] if indices else -1


def _pieces(messages: Sequence[Message], tools: Sequence[Tool] | None, last_final: int) -> Iterator[_Piece]:
    if tools:
        declared = json.dumps(list(tools), ensure_ascii=False, separators=(",", ":"))
        yield _Piece("<|im_system|>", True)
        yield _Piece("tool_declare", False)
        yield _Piece("<|im_middle|>", True)
        yield _Piece(declared, False)
        yield _Piece("<|im_end|>", True)
    if messages and messages[0]["role"] != "system":
        yield from _turn("<|im_system|>", "system", DEFAULT_SYSTEM)
    for index, message in enumerate(messages):
        role = message["role"]
        name = str(message.get("name") or role)
        if role == "assistant":
            yield from _assistant(message, name, history=index <= last_final)
        elif role == "tool":
            yield from _turn("<|im_system|>", name, f"## Return of {message['tool_call_id']}\n{_text(message)}")
        elif role in ("user", "system"):
            yield from _turn("<|im_user|>" if role == "user" else "<|im_system|>", name, _text(message))
        else:
            raise ConfigError(f"messages[{index}].role: {role!r} is none of system, user, assistant, tool")


def _turn(begin: str, name: str, text: str) -> Iterator[_Piece]:
    yield _Piece(begin, True)
    yield _Piece(name, False)
    yield _Piece("<|im_middle|>", True)
    yield _Piece(text, False)
    yield _Piece("<|im_end|>", True)


def _assistant(message: Message, name: str, *, history: bool) -> Iterator[_Piece]:
    reasoning = message.get("reasoning_content") or ""
    # A turn whose reasoning is not shown was not written that way: nothing is learned from it.
    learned = not (history and reasoning)
    yield _Piece("<|im_assistant|>", True)
    yield _Piece(name, False)
    yield _Piece("<|im_middle|>", True)
    yield _Piece("<think>", True, learned)
    yield _Piece("" if history else reasoning, False, learned)
    yield _Piece("</think>", True, learned)
    yield _Piece(_text(message), False, learned)
    if message.get("tool_calls"):
        yield _Piece("<|tool_calls_section_begin|>", True, learned)
        for call in message["tool_calls"]:
            yield _Piece("<|tool_call_begin|>", True, learned)
            yield _Piece(call["id"], False, learned)
            yield _Piece("<|tool_call_argument_begin|>", True, learned)
            yield _Piece(_arguments(call), False, learned)
            yield _Piece("<|tool_call_end|>", True, learned)
        yield _Piece("<|tool_calls_section_end|>", True, learned)
    yield _Piece("<|im_end|>", True, learned)


_GENERATION = (_Piece("<|im_assistant|>", True), _Piece("assistant", False), _Piece("<|im_middle|>", True))


def render(
    messages: Sequence[Message], tools: Sequence[Tool] | None = None, *, add_generation_prompt: bool = False
) -> str:
    """The dialog as text, equal to `chat_template.jinja`.

    Raises:
        ConfigError: an unknown role.
    """
    pieces = list(_pieces(messages, tools, _last_final(messages)))
    return well_formed("".join(piece.text for piece in [*pieces, *(_GENERATION if add_generation_prompt else ())]))


@functools.lru_cache(maxsize=64)  # a dialog that is cut turn by turn, or asked about at each, has the same pieces
def _ids(tokenizer: K2Tokenizer, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text))


def _encode(tokenizer: K2Tokenizer, pieces: Sequence[_Piece]) -> Encoded:
    ids: list[int] = []
    loss_mask: list[bool] = []
    for piece in pieces:
        if not piece.text:
            continue
        new = (tokenizer.special[piece.text],) if piece.markup else _ids(tokenizer, piece.text)
        ids += new
        loss_mask += [piece.trained] * len(new)
    return Encoded(ids, loss_mask)


def encode_chat(tokenizer: K2Tokenizer, messages: Sequence[Message], tools: Sequence[Tool] | None = None) -> Encoded:
    """A dialog to learn from; its last message is rendered as the model wrote it, with its reasoning.

    Earlier rounds that ended in an answer are history: their reasoning is dropped, as it will be when the model is
    used, and a turn that had some carries no loss. Learn those from the dialog cut after their round.
    """
    return _encode(tokenizer, list(_pieces(messages, tools, _last_final(messages[:-1]))))


def rounds(messages: Sequence[Message]) -> list[Sequence[Message]]:
    """The dialog cut after each answer whose reasoning would be history in the whole; the whole comes last."""
    cuts = [
        k + 1
        for k, message in enumerate(messages[:-1])
        if message["role"] == "assistant" and not message.get("tool_calls")
    ]
    dialogs: list[Sequence[Message]] = []
    start = 0
    for cut in cuts:
        if any(message.get("reasoning_content") for message in messages[start:cut]):
            dialogs.append(messages[:cut])
        start = cut
    return [*dialogs, messages]


def encode_prompt(
    tokenizer: K2Tokenizer, messages: Sequence[Message], tools: Sequence[Tool] | None = None
) -> list[int]:
    """A dialog up to where the assistant begins to write."""
    pieces = [*_pieces(messages, tools, _last_final(messages)), *_GENERATION]
    return _encode(tokenizer, pieces).ids


def encode_followup(tokenizer: K2Tokenizer, messages: Sequence[Message]) -> list[int]:
    """Tool results or a user's next message, and where the assistant begins again.

    What follows the sampled tokens of a rollout, so that they are never encoded a second time.
    """
    if not messages or messages[0]["role"] not in ("tool", "user"):
        raise ConfigError("a follow-up begins with a tool result or a user's message")
    pieces: list[_Piece] = []
    for message in messages:
        name = str(message.get("name") or message["role"])
        if message["role"] == "tool":
            text = f"## Return of {message['tool_call_id']}\n{_text(message)}"
            pieces += _turn("<|im_system|>", name, text)
        else:
            pieces += _turn("<|im_user|>", name, _text(message))
    return _encode(tokenizer, [*pieces, *_GENERATION]).ids
