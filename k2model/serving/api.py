"""What the server accepts: the OpenAI request bodies, checked; an unknown or impossible field is named."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from k2model.errors import ConfigError


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FunctionCall(_Body):
    name: str
    arguments: str


class Call(_Body):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class TextPart(_Body):
    type: Literal["text"]
    text: str


class ChatMessage(_Body):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    name: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None


class Function(_Body):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Body):
    type: Literal["function"]
    function: Function


class NamedFunction(_Body):
    name: str


class NamedChoice(_Body):
    type: Literal["function"]
    function: NamedFunction


class StreamOptions(_Body):
    include_usage: bool = False


class Sampling(_Body):
    """Fields that both endpoints share."""

    model: str
    temperature: float = Field(1.0, ge=0.0, le=100.0)
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    n: int = Field(1, ge=1, le=128)
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: str | None = None

    def stops(self) -> tuple[str, ...]:
        found = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        if any(not text for text in found):
            raise ConfigError("stop: an empty string")
        return found


class ChatBody(Sampling):
    messages: list[ChatMessage] = Field(min_length=1)
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool = True
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)


class CompletionBody(Sampling):
    """`stop_token_ids` and `return_token_ids` are vLLM's; our answers hold the token ids in any case."""

    prompt: str | list[str] | list[int] | list[list[int]]
    max_tokens: int = Field(16, ge=1)
    logprobs: int | None = Field(None, ge=0, le=20)
    stop_token_ids: list[int] | None = None
    return_token_ids: bool = True

    def prompts(self) -> list[str | list[int]]:
        if isinstance(self.prompt, str) or (self.prompt and isinstance(self.prompt[0], int)):
            return [self.prompt]  # type: ignore[list-item]
        return list(self.prompt)  # type: ignore[arg-type]


class WeightsBody(_Body):
    """SGLang's request to read the weights of another checkpoint of the same network."""

    model_path: str


def complaint(error: ValidationError) -> tuple[str, str]:
    """(message, field) of the first problem, as one line."""
    first = error.errors()[0]
    where = ""
    for part in first["loc"]:
        # Names of union members are not the caller's.
        if isinstance(part, int):
            where += f"[{part}]"
        elif part.islower() and "[" not in part and part not in ("str", "int"):
            where += f".{part}" if where else part
    what = "is not a field of this request" if first["type"] == "extra_forbidden" else first["msg"]
    return f"{where}: {what}", where
