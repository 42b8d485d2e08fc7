"""SmolLM2's chat format."""

from collections.abc import Sequence

from agents.chat.protocol import ChatError, Message

SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
TURN = "<|im_start|>"
END = "<|im_end|>"
ROLES = ("system", "user", "assistant")

# (text, True for a control token): text is tokenized apart, so that it can't forge a control token
Piece = tuple[str, bool]


def pieces(messages: Sequence[Message], shared: int = 0) -> tuple[list[Piece], list[Piece]]:
    """The prompt that asks for the next answer, as (pieces of the first `shared` messages, pieces of the rest).

    A last message of the assistant is left open, so that the answer continues it.

    Raises:
        ChatError: no messages, a role that the format doesn't have, or content that is no string.
    """
    if not messages:
        raise ChatError("request: no messages")
    head: list[Piece] = []
    if messages[0].get("role") != "system":
        head += _message("system", SYSTEM)
    rest: list[Piece] = []
    for index, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ROLES or not isinstance(content, str):
            raise ChatError(f"request: message {index}: role {role!r} with {type(content).__name__} content")
        part = _message(role, content)
        if index == len(messages) - 1 and role == "assistant":
            part = part[:-2]
        (head if index < min(shared, len(messages) - 1) else rest).extend(part)
    if messages[-1]["role"] != "assistant":
        rest += [(TURN, True), ("assistant\n", False)]
    return head, rest


def _message(role: str, content: str) -> list[Piece]:
    return [(TURN, True), (f"{role}\n{content}", False), (END, True), ("\n", False)]
