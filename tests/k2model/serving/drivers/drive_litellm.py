"""Runs in an environment that has litellm: `python drive_litellm.py URL` prints what came out, as JSON."""

import json
import sys
from typing import Any

import litellm

url = sys.argv[1]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Weather.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}},
                "required": ["city"],
            },
        },
    }
]
ASK: list[Any] = [{"role": "user", "content": "Weather in Oslo?"}]
options: dict[str, Any] = {
    "model": "openai/tiny",
    "api_base": f"{url}/v1",
    "api_key": "none",
    "max_tokens": 120,
    "seed": 1,
}

plain = litellm.completion(messages=ASK, **options)
chunks = list(litellm.completion(messages=ASK, stream=True, stream_options={"include_usage": True}, **options))
rebuilt = litellm.stream_chunk_builder(chunks, messages=ASK)
called = litellm.completion(messages=ASK, tools=TOOLS, tool_choice="required", **options)
message = called.choices[0].message
results = [
    {"role": "tool", "tool_call_id": call.id, "name": "weather", "content": "rain"} for call in message.tool_calls
]
streamed = list(litellm.completion(messages=ASK, tools=TOOLS, tool_choice="required", stream=True, **options))
accumulated = litellm.stream_chunk_builder(streamed, messages=ASK).choices[0].message
text = litellm.text_completion(
    prompt="The cat", **(options | {"model": "text-completion-openai/tiny", "max_tokens": 8})
)
refused = ""
try:
    litellm.completion(messages=ASK, **(options | {"temperature": -1}))
except litellm.BadRequestError as error:
    refused = str(error)

print(
    json.dumps(
        {
            "version": getattr(litellm, "__version__", ""),
            "plain": plain.choices[0].message.content,
            "streamed": rebuilt.choices[0].message.content,
            "usage": [plain.usage.total_tokens, rebuilt.usage.total_tokens],
            "arguments": [call.function.arguments for call in message.tool_calls],
            "arguments_streamed": [call.function.arguments for call in accumulated.tool_calls],
            # The message as it is, as its dump, and as it was put together from a stream.
            "after": [
                litellm.completion(messages=[*ASK, echoed, *results], tools=TOOLS, **options).choices[0].message.content
                for echoed in (message, message.model_dump(), accumulated.model_dump())
            ],
            "text": text.choices[0].text,
            "refused": refused,
        }
    )
)
