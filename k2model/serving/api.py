"""The bodies of requests for chats, completions and new weights; `parameters` says what is done with each field."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from k2model.chat.model_json import ModelJsonError, loads_model_json
from k2model.errors import ConfigError
from k2model.inference.grammar import ANY_OBJECT
from k2model.serving import parameters
from k2model.serving.parameters import Decision, decide

TEXT_PARTS = {"text": "text", "input_text": "text", "output_text": "text", "reasoning_text": "text"} | {
    "refusal": "refusal"
}


class RequestObject(BaseModel):
    """An object of a request: what has no effect is dropped, what isn't done is refused by name."""

    model_config = ConfigDict(extra="forbid")
    decisions: ClassVar[Mapping[str, Decision]]

    @model_validator(mode="before")
    @classmethod
    def _decide(cls, value: Any) -> Any:
        return decide(cls.decisions, value)


BodyType = TypeVar("BodyType", bound=RequestObject)


def _wrong(what: str) -> PydanticCustomError:
    return PydanticCustomError("wrong", "{what}", {"what": what})


def read_text(value: Any) -> str:
    """The text of a message's content: itself, or its parts joined."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise _wrong(f"{type(value).__name__} is neither text nor a list of parts")
    return "".join(_part_text(part, index) for index, part in enumerate(value))


def _part_text(part: Any, index: int) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise _wrong(f"part {index} is no object")
    field = TEXT_PARTS.get(str(part.get("type")))
    if field is None:
        raise _wrong(f"a part of type {part.get('type')!r} is not supported here; text is")
    try:
        part = decide(parameters.PART, part)
    except PydanticCustomError as error:
        raise _wrong(f"part {index}: {(error.context or {})['parameter']}: {error.message()}") from None
    text = part.get(field)
    if not isinstance(text, str):
        raise _wrong(f"part {index} has no {field}")
    return text


def _read_arguments(value: Any) -> Any:
    """Some clients hold a call's arguments as the object; nothing is no arguments."""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return "{}" if isinstance(value, str) and not value.strip() else value


def _read_stops(value: Any) -> Any:
    stops = [value] if isinstance(value, str) else value
    if isinstance(stops, list) and "" in stops:
        raise _wrong("an empty string")
    return stops


Text = Annotated[str, BeforeValidator(read_text)]
Arguments = Annotated[str, BeforeValidator(_read_arguments)]


class FunctionCall(RequestObject):
    decisions = parameters.CALL_FUNCTION
    name: str = Field(min_length=1)
    arguments: Arguments = "{}"


class Call(RequestObject):
    decisions = parameters.CALL
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class ChatMessage(RequestObject):
    decisions = parameters.MESSAGE
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text = ""
    name: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[Call] = []
    tool_call_id: str | None = None


class Function(RequestObject):
    decisions = parameters.TOOL_FUNCTION
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolBody(RequestObject):
    decisions = parameters.TOOL
    type: Literal["function"]
    function: Function


class NamedFunction(RequestObject):
    decisions = parameters.NAMED_FUNCTION
    name: str


class NamedChoice(RequestObject):
    decisions = parameters.NAMED_CHOICE
    type: Literal["function"]
    function: NamedFunction


Chosen = TypeVar("Chosen")
ChoiceOrName = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("<name>")] | Annotated[Chosen, Tag("<choice>")],
    Discriminator(lambda value: "<choice>" if isinstance(value, dict | RequestObject) else "<name>"),
]


class StreamOptions(RequestObject):
    decisions = parameters.STREAM_OPTIONS
    include_usage: bool = False


class JsonSchema(RequestObject):
    decisions = parameters.JSON_SCHEMA
    json_schema: dict[str, Any] = Field(alias="schema")


class ResponseFormat(RequestObject):
    decisions = parameters.RESPONSE_FORMAT
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    def schema_of_content(self) -> dict[str, Any] | None:
        """What the content is held to: a JSON schema, or None for free text.

        Raises:
            ConfigError: the format wants a schema and there is none.
        """
        if self.type == "json_schema":
            if self.json_schema is None:
                raise ConfigError("response_format.json_schema: a schema is wanted and there is none")
            return self.json_schema.json_schema
        return ANY_OBJECT if self.type == "json_object" else None


class Sampling(RequestObject):
    """Fields that all endpoints share."""

    model: str
    temperature: float = Field(1.0, ge=0.0, le=100.0)
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    top_k: int = Field(0, ge=-1)  # 0 and vLLM's −1: all tokens
    min_p: float = Field(0.0, ge=0.0, le=1.0)
    frequency_penalty: float = Field(0.0, ge=-2.0, le=2.0)
    presence_penalty: float = Field(0.0, ge=-2.0, le=2.0)
    logit_bias: dict[int, Annotated[float, Field(ge=-100.0, le=100.0)]] = {}
    seed: int | None = None
    stop: Annotated[list[str], BeforeValidator(_read_stops)] = []
    stream: bool = False


class Choices(Sampling):
    """Fields that chats and completions share."""

    n: int = Field(1, ge=1, le=128)
    stream_options: StreamOptions = StreamOptions()

    @property
    def usage_in_stream(self) -> bool:
        return self.stream_options.include_usage


class ChatBody(Choices):
    decisions = parameters.CHAT
    dialog: ClassVar[str] = "messages"  # the field that holds it
    messages: list[ChatMessage] = Field(min_length=1)
    tools: list[ToolBody] = []
    tool_choice: ChoiceOrName[NamedChoice] = "auto"
    parallel_tool_calls: bool = True
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)
    response_format: ResponseFormat = ResponseFormat(type="text")

    @property
    def budget(self) -> tuple[str, int | None]:
        """(name of the field that limits the answer, its value)."""
        if self.max_completion_tokens is not None:
            return "max_completion_tokens", self.max_completion_tokens
        return "max_tokens", self.max_tokens


def _read_prompts(value: Any) -> Any:
    """One text, one list of token ids, or a list of either."""
    if isinstance(value, str) or (isinstance(value, list) and value and isinstance(value[0], int)):
        return [value]
    return value


class CompletionBody(Choices):
    """`stop_token_ids` is vLLM's."""

    decisions = parameters.COMPLETION
    prompt: Annotated[list[str | list[int]], BeforeValidator(_read_prompts), Field(min_length=1)]
    max_tokens: int = Field(16, ge=0)
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool = False
    stop_token_ids: list[int] | None = None


class WeightsBody(RequestObject):
    """SGLang's request to read the weights of another checkpoint of the same network."""

    decisions = parameters.WEIGHTS
    model_path: str


class BadRequest(Exception):
    """A request that can't be: `param` is the field, `reason` what is wrong with it."""

    def __init__(self, reason: str, param: str | None = None) -> None:
        super().__init__(f"{param}: {reason}" if param else reason)
        self.reason, self.param = reason, param


def read_body(kind: type[BodyType], body: bytes) -> BodyType:
    """The checked body of a request; bytes that are no text and half surrogate pairs become U+FFFD.

    Raises:
        BadRequest: it is no JSON, or a field is unknown, impossible or not supported.
    """
    try:
        return kind.model_validate(loads_model_json(body.decode("utf-8", "replace")))
    except ModelJsonError as error:
        raise BadRequest(f"the body of the request is {error}") from None
    except ValidationError as error:
        raise complaint(error) from None


def complaint(error: ValidationError) -> BadRequest:
    """The first problem, as one line."""
    first = error.errors(include_url=False)[0]
    where = ""
    for part in (*first["loc"], first.get("ctx", {}).get("parameter", "")):
        if isinstance(part, int):
            where += f"[{part}]"
        elif part and part not in _UNION_MEMBERS:
            where += part if part.startswith("[") or not where else f".{part}"
    return BadRequest(first["msg"] if where else f"the body of the request: {first['msg']}", where or None)


_UNION_MEMBERS = ("<name>", "<choice>", "str", "list[int]")  # not the caller's names
