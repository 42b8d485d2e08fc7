"""OpenAI's /v1/responses for text and function calls, without state: the dialog goes in whole, items come out.

The body becomes a chat; what the model writes becomes items (reasoning, message, function_call), whole or as the
typed events of a stream.
"""

import time
import uuid
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, ValidationError
from pydantic_core import PydanticCustomError

from k2model.chat.parse import THINK
from k2model.chat.turn import Delta
from k2model.serving import parameters
from k2model.serving.answers import chat_logprobs, event, parse_errors, schema_checks
from k2model.serving.api import Arguments, ChatBody, ChoiceOrName, RequestObject, Sampling, Text, complaint
from k2model.serving.engine_loop import Choice
from k2model.serving.service import Generation, Service

LOGPROBS = "message.output_text.logprobs"


class InputMessage(RequestObject):
    decisions = parameters.INPUT_MESSAGE
    type: Literal["message"] = "message"
    role: Literal["user", "system", "developer", "assistant"]
    content: Text


class InputCall(RequestObject):
    decisions = parameters.INPUT_CALL
    type: Literal["function_call"]
    call_id: str
    name: str = Field(min_length=1)
    arguments: Arguments = "{}"


class InputCallOutput(RequestObject):
    decisions = parameters.INPUT_CALL_OUTPUT
    type: Literal["function_call_output"]
    call_id: str
    output: Text


class InputReasoning(RequestObject):
    decisions = parameters.INPUT_REASONING
    type: Literal["reasoning"]
    content: Text = ""


InputItem = InputMessage | InputCall | InputCallOutput | InputReasoning
ITEMS: Mapping[str, type[InputItem]] = {
    "message": InputMessage,
    "function_call": InputCall,
    "function_call_output": InputCallOutput,
    "reasoning": InputReasoning,
}


def _read_input(value: Any) -> list[InputItem]:
    """A text is a user's message."""
    if isinstance(value, str):
        return [InputMessage(role="user", content=value)]
    if not isinstance(value, list) or not value:
        raise PydanticCustomError("wrong", "neither text nor a list of items")
    items = []
    for index, item in enumerate(value):
        where = f"[{index}]"
        kind = _item_type(item)
        if kind not in ITEMS:
            what = f"an item of type {kind!r} is not supported here; {', '.join(ITEMS)} are"
            raise PydanticCustomError("wrong", "{what}", {"parameter": where, "what": what})
        try:
            items.append(ITEMS[kind].model_validate(item))
        except ValidationError as error:
            problem = complaint(error)
            context = {"parameter": f"{where}.{problem.param}", "what": problem.reason}
            raise PydanticCustomError("wrong", "{what}", context) from None
    return items


def _item_type(item: Any) -> str:
    if not isinstance(item, dict):
        return type(item).__name__
    return str(item.get("type") or ("message" if "role" in item else None))


class ResponsesTool(RequestObject):
    decisions = parameters.RESPONSES_TOOL
    type: Literal["function"]
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ResponsesChoice(RequestObject):
    decisions = parameters.RESPONSES_CHOICE
    type: Literal["function"]
    name: str


class TextFormat(RequestObject):
    decisions = parameters.TEXT_FORMAT
    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")


class TextConfig(RequestObject):
    decisions = parameters.TEXT
    format: TextFormat = TextFormat(type="text")


class Reasoning(RequestObject):
    decisions = parameters.REASONING


class ResponseChat(ChatBody):
    """The chat of a response; errors name the caller's fields."""

    dialog = "input"

    @property
    def budget(self) -> tuple[str, int | None]:
        return "max_output_tokens", self.max_completion_tokens


class ResponsesBody(Sampling):
    decisions = parameters.RESPONSES
    input: Annotated[list[InputItem], PlainValidator(_read_input)]
    instructions: str | None = None
    tools: list[ResponsesTool] = []
    tool_choice: ChoiceOrName[ResponsesChoice] = "auto"
    parallel_tool_calls: bool = True
    max_output_tokens: int | None = Field(None, ge=1)
    top_logprobs: int = Field(0, ge=0, le=20)
    include: list[str] = []
    text: TextConfig = TextConfig()
    reasoning: Reasoning = Reasoning()
    metadata: dict[str, str] = {}

    @property
    def logprobs(self) -> bool:
        return LOGPROBS in self.include or self.top_logprobs > 0

    def chat(self) -> ResponseChat:
        """The chat that is asked for.

        Raises:
            BadRequest: a value that can't be.
        """
        choice = self.tool_choice
        text_format: dict[str, Any] = {"type": self.text.format.type}
        if self.text.format.json_schema is not None:
            text_format["json_schema"] = {"schema": self.text.format.json_schema}
        functions = [tool.model_dump(exclude={"type"}, exclude_none=True) for tool in self.tools]
        body = {
            "messages": self._messages(),
            "tools": [{"type": "function", "function": function} for function in functions],
            "tool_choice": choice
            if isinstance(choice, str)
            else {"type": "function", "function": {"name": choice.name}},
            "max_completion_tokens": self.max_output_tokens,
            "logprobs": self.logprobs,
            "response_format": text_format,
        }
        same = ("parallel_tool_calls", "top_logprobs", *Sampling.model_fields)
        try:
            return ResponseChat.model_validate(body | {name: getattr(self, name) for name in same})
        except ValidationError as error:
            raise complaint(error) from None

    def _messages(self) -> list[dict[str, Any]]:
        """Reasoning, text and calls that follow each other are one message of the assistant."""
        messages: list[dict[str, Any]] = []
        if self.instructions:
            messages.append({"role": "system", "content": self.instructions})
        turn: dict[str, Any] | None = None
        for item in self.input:
            if isinstance(item, InputCallOutput):
                turn = None
                messages.append({"role": "tool", "tool_call_id": item.call_id, "content": item.output})
                continue
            if isinstance(item, InputMessage) and item.role != "assistant":
                turn = None
                messages.append({"role": item.role, "content": item.content})
                continue
            if turn is None or not _continues(turn, item):
                turn = {"role": "assistant"}
                messages.append(turn)
            if isinstance(item, InputReasoning):
                turn["reasoning_content"] = item.content
            elif isinstance(item, InputMessage):
                turn["content"] = item.content
            else:
                function = {"name": item.name, "arguments": item.arguments}
                turn.setdefault("tool_calls", []).append({"id": item.call_id, "function": function})
        return messages


def _continues(turn: Mapping[str, Any], item: InputItem) -> bool:
    if isinstance(item, InputReasoning):
        return not turn.keys() - {"role"}
    return isinstance(item, InputCall) or not turn.keys() & {"content", "tool_calls"}


class ResponsesAnswer:
    """The items of one answer, as they are written."""

    def __init__(self, service: Service, body: ResponsesBody, generation: Generation) -> None:
        self._service, self._body, self._generation = service, body, generation
        self._id = f"resp_{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._output: list[dict[str, Any]] = []
        self._open: dict[str, Any] | None = None  # the item that is being written
        self._pending: list[dict[str, Any]] = []  # log-probabilities of tokens whose text has not come yet
        self._checks: list[dict[str, Any]] = []
        self._number = 0

    async def whole(self) -> dict[str, Any]:
        """The answer when it has finished; raises what `Service.run` raises."""
        async with aclosing(self.events()) as events:
            async for _ in events:
                pass
        return self._response(self._final_status())

    async def events(self) -> AsyncGenerator[str, None]:
        """The events of a stream; raises what `Service.run` raises."""
        for kind in ("created", "in_progress"):
            yield self._event(f"response.{kind}", response=self._response("in_progress"))
        async with aclosing(self._service.run(self._generation)) as running:
            async for _, news, deltas in running:
                if self._body.logprobs:
                    self._pending += chat_logprobs(self._service.pieces, news)["content"]
                for delta in deltas:
                    for written in self._write(delta):
                        yield written
        self._checks = schema_checks(await self._service.checks(self._generation, 0))
        status = self._final_status()
        for written in self._finish_item(status):
            yield written
        yield self._event(f"response.{status}", response=self._response(status))

    def failure(self, message: str, kind: str) -> str:
        """The last event of a stream that failed."""
        error = {"code": "server_error" if kind == "server_error" else "invalid_prompt", "message": message}
        return self._event("response.failed", response=self._response("failed") | {"error": error})

    def _final_status(self) -> str:
        return "incomplete" if self._choice.finish == "length" else "completed"

    @property
    def _choice(self) -> Choice:
        return self._generation.choices[0]

    def _write(self, delta: Delta) -> Iterator[str]:
        if delta.call is not None:
            yield from self._finish_item("completed")
            yield from self._write_call(delta)
        elif delta.kind in ("reasoning", "content"):
            kind = "reasoning" if delta.kind == "reasoning" else "message"
            if self._open is None or self._open["type"] != kind:
                yield from self._finish_item("completed")
                yield from self._begin_item(kind)
            yield from self._write_text(delta.text)

    def _begin_item(self, kind: str) -> Iterator[str]:
        if kind == "reasoning":
            item = {"id": f"rs_{uuid.uuid4().hex}", "type": "reasoning", "summary": [], "content": []}
            part: dict[str, Any] = {"type": "reasoning_text", "text": ""}
        else:
            item = {"id": f"msg_{uuid.uuid4().hex}", "type": "message", "role": "assistant", "content": []}
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        item["status"] = "in_progress"
        yield self._event("response.output_item.added", item=item, output_index=len(self._output))
        yield self._event("response.content_part.added", part=part, **self._where(item))
        self._output.append(item | {"content": [part]})
        self._open = self._output[-1]

    def _write_text(self, text: str) -> Iterator[str]:
        assert self._open is not None
        part = self._open["content"][0]
        part["text"] += text
        logprobs, self._pending = self._pending, []
        if self._open["type"] == "reasoning":
            yield self._event("response.reasoning_text.delta", delta=text, **self._where(self._open))
        else:
            part["logprobs"] += logprobs
            where = self._where(self._open)
            yield self._event("response.output_text.delta", delta=text, logprobs=logprobs, **where)

    def _finish_item(self, status: str) -> Iterator[str]:
        item, self._open = self._open, None
        if item is None:
            return
        item["status"] = status
        part, where = item["content"][0], self._where(item)
        if item["type"] == "reasoning":
            yield self._event("response.reasoning_text.done", text=part["text"], **where)
        else:
            yield self._event("response.output_text.done", text=part["text"], logprobs=part["logprobs"], **where)
        yield self._event("response.content_part.done", part=part, **where)
        yield self._event("response.output_item.done", item=item, output_index=where["output_index"])

    def _write_call(self, delta: Delta) -> Iterator[str]:
        """The reader gives a call when it is whole."""
        assert delta.call is not None
        self._pending = []
        item = {"id": f"fc_{uuid.uuid4().hex}", "type": "function_call", "status": "completed"}
        item |= {"call_id": delta.call.id, "name": delta.call.name, "arguments": delta.call.arguments}
        where = {"output_index": len(self._output)}
        self._output.append(item)
        begun = item | {"arguments": "", "status": "in_progress"}
        yield self._event("response.output_item.added", item=begun, **where)
        kind, arguments = "response.function_call_arguments", delta.call.arguments
        yield self._event(f"{kind}.delta", item_id=item["id"], delta=arguments, **where)
        yield self._event(f"{kind}.done", item_id=item["id"], arguments=arguments, name=delta.call.name, **where)
        yield self._event("response.output_item.done", item=item, **where)

    def _where(self, item: Mapping[str, Any]) -> dict[str, Any]:
        indices = [index for index, known in enumerate(self._output) if known["id"] == item["id"]]
        return {"item_id": item["id"], "content_index": 0, "output_index": indices[0] if indices else len(self._output)}

    def _event(self, kind: str, **content: Any) -> str:
        number, self._number = self._number, self._number + 1
        return event({"type": kind, "sequence_number": number} | content, kind)

    def _response(self, status: str) -> dict[str, Any]:
        body = self._body
        response = {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata,
            "model": self._service.name,
            "output": self._output,
            "parallel_tool_calls": body.parallel_tool_calls,
            "previous_response_id": None,
            "store": False,
            "temperature": body.temperature,
            "text": body.text.model_dump(exclude_none=True, by_alias=True),
            "tool_choice": body.tool_choice if isinstance(body.tool_choice, str) else body.tool_choice.model_dump(),
            "tools": [tool.model_dump() | {"strict": True} for tool in body.tools],
            "top_logprobs": body.top_logprobs,
            "top_p": body.top_p,
            "truncation": "disabled",
            "usage": self._usage() if status in ("completed", "incomplete") else None,
        }
        errors = [delta.error for delta in self._choice.deltas if delta.error is not None]
        response |= {"parse_errors": parse_errors(errors)} if errors else {}
        return response | ({"schema_checks": self._checks} if self._checks else {})

    def _usage(self) -> dict[str, Any]:
        usage = self._generation.usage()
        return {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": usage["prompt_tokens_details"] | {"cache_write_tokens": 0},
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": self._reasoning_tokens()},
            "total_tokens": usage["total_tokens"],
        }

    def _reasoning_tokens(self) -> int:
        ids, special = self._choice.ids, self._service.tokenizer.special
        if not ids or ids[0] != special[THINK]:
            return 0
        end = special["</think>"]
        return ids.index(end) + 1 if end in ids else len(ids)
