"""Runs in an environment that has langchain-openai: `python drive_langchain.py URL` prints what came out, as JSON."""

import json
import sys
from typing import Any

from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI


@tool
def weather(city: str) -> str:
    """Weather of a city."""
    return f"rain in {city}"


url = sys.argv[1]
options: dict[str, Any] = {"model": "tiny", "base_url": f"{url}/v1", "api_key": "none", "max_retries": 0}
ask: list[Any] = [SystemMessage("Be brief."), HumanMessage("Weather in Oslo?")]
chat = ChatOpenAI(**options, max_tokens=100, seed=1, temperature=0.7)

plain = chat.invoke(ask)
pieces = list(chat.stream(ask))
whole = AIMessageChunk(content="")
for piece in pieces:
    whole = whole + piece
with_tool = chat.bind_tools([weather], tool_choice="required")
called = with_tool.invoke(ask)
results = [ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]) for call in called.tool_calls]
after = chat.bind_tools([weather], tool_choice="none").invoke([*ask, called, *results])
responses = ChatOpenAI(
    **options, max_tokens=100, use_responses_api=True, temperature=0.7, model_kwargs={"extra_body": {"seed": 1}}
)
items = responses.invoke(ask)
items_streamed = AIMessageChunk(content=[])
for piece in responses.stream(ask):
    items_streamed = items_streamed + piece
items_called = responses.bind_tools([weather], tool_choice="required").invoke(ask)
items_results = [ToolMessage("rain", tool_call_id=call["id"]) for call in items_called.tool_calls]
items_after = responses.bind_tools([weather], tool_choice="none").invoke([*ask, items_called, *items_results])
completion = OpenAI(**options, max_tokens=8, seed=1).invoke("The cat")

print(
    json.dumps(
        {
            "plain": plain.content,
            "usage": plain.usage_metadata["total_tokens"],
            "streamed": whole.content,
            "pieces": len(pieces),
            "arguments": [call["args"] for call in called.tool_calls],
            "after": after.content,
            "responses": items.text,
            "responses_streamed": items_streamed.text,
            "responses_arguments": [call["args"] for call in items_called.tool_calls],
            "responses_after": items_after.text,
            "completion": completion,
        }
    )
)
