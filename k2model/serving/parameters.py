"""What the server does with each parameter of a request: the one table.

Every parameter of OpenAI's chat.completions, completions and responses stands here, and those that vLLM, LiteLLM and
OpenRouter add and that clients really send. `DONE` is done. `NO_EFFECT` is accepted whatever its value, since no value
changes the answer. `only(...)` accepts the values that change nothing and refuses the others by name. `REFUSED` is
refused by name, as is what isn't listed. A null is the same as leaving the parameter out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticCustomError


@dataclass(frozen=True)
class Decision:
    """`harmless` are the values that are accepted and dropped (None: any value)."""

    done: bool = False
    harmless: tuple[Any, ...] | None = ()


DONE = Decision(done=True)
NO_EFFECT = Decision(harmless=None)
REFUSED = Decision()


def only(*values: Any) -> Decision:
    return Decision(harmless=values)


_SAMPLING = {
    "model": DONE,
    "temperature": DONE,
    "top_p": DONE,
    "top_k": DONE,
    "min_p": DONE,
    "seed": DONE,
    "stop": DONE,
    "frequency_penalty": DONE,
    "presence_penalty": DONE,
    "logit_bias": DONE,
    "stream": DONE,
}
_BOOKKEEPING = {
    "user": NO_EFFECT,
    "metadata": NO_EFFECT,
    "safety_identifier": NO_EFFECT,
    "service_tier": NO_EFFECT,
    "prompt_cache_key": NO_EFFECT,
    "prompt_cache_options": NO_EFFECT,
    "prompt_cache_retention": NO_EFFECT,
}
_VLLM = {
    "repetition_penalty": only(1),
    "length_penalty": only(1),
    "min_tokens": only(0),
    "ignore_eos": only(False),
    "use_beam_search": only(False),
    "include_stop_str_in_output": only(False),
    "prompt_logprobs": REFUSED,
    "return_token_ids": NO_EFFECT,  # every answer has them
}

CHAT: Mapping[str, Decision] = {
    **_SAMPLING,
    **_BOOKKEEPING,
    **_VLLM,
    "n": DONE,
    "stream_options": DONE,
    "messages": DONE,
    "tools": DONE,
    "tool_choice": DONE,
    "parallel_tool_calls": DONE,
    "max_tokens": DONE,
    "max_completion_tokens": DONE,
    "logprobs": DONE,
    "top_logprobs": DONE,
    "response_format": DONE,
    "prediction": NO_EFFECT,  # a hint for speed
    "store": only(False),
    "modalities": only(["text"]),
    "reasoning_effort": only("medium"),
    "verbosity": only("medium"),
    "functions": only([]),
    "function_call": only("auto", "none"),
    "audio": REFUSED,
    "moderation": REFUSED,
    "web_search_options": REFUSED,
    "echo": only(False),
    "add_generation_prompt": only(True),
    "continue_final_message": only(False),
    "chat_template_kwargs": only({}),
}

COMPLETION: Mapping[str, Decision] = {
    **_SAMPLING,
    **_BOOKKEEPING,
    **_VLLM,
    "n": DONE,
    "stream_options": DONE,
    "prompt": DONE,
    "max_tokens": DONE,
    "logprobs": DONE,
    "echo": DONE,
    "stop_token_ids": DONE,
    "best_of": only(1),
    "suffix": only(""),
}

RESPONSES: Mapping[str, Decision] = {
    **_SAMPLING,
    **_BOOKKEEPING,
    "metadata": DONE,  # stands in the answer
    "input": DONE,
    "instructions": DONE,
    "include": DONE,
    "max_output_tokens": DONE,
    "parallel_tool_calls": DONE,
    "reasoning": DONE,
    "text": DONE,
    "tool_choice": DONE,
    "tools": DONE,
    "top_logprobs": DONE,
    "max_tool_calls": NO_EFFECT,  # counts tools that run inside a server; there are none here
    "store": NO_EFFECT,  # nothing is stored; what asks for a stored answer is refused
    "stream_options": NO_EFFECT,
    "background": only(False),
    "background_options": REFUSED,
    "access_programs": REFUSED,
    "context_management": only([]),
    "conversation": REFUSED,
    "image": REFUSED,
    "moderation": REFUSED,
    "previous_response_id": REFUSED,
    "prompt": REFUSED,
    "truncation": only("disabled"),
}

STREAM_OPTIONS: Mapping[str, Decision] = {"include_usage": DONE, "include_obfuscation": NO_EFFECT}
RESPONSE_FORMAT: Mapping[str, Decision] = {"type": DONE, "json_schema": DONE}
# The name and the description are for the reader; a schema is held to whether `strict` is set or not.
JSON_SCHEMA: Mapping[str, Decision] = {"schema": DONE, "name": NO_EFFECT, "description": NO_EFFECT, "strict": NO_EFFECT}
TEXT: Mapping[str, Decision] = {"format": DONE, "verbosity": only("medium")}
TEXT_FORMAT: Mapping[str, Decision] = {"type": DONE, **JSON_SCHEMA}
REASONING: Mapping[str, Decision] = {
    "effort": only("medium"),
    "summary": NO_EFFECT,
    "generate_summary": NO_EFFECT,
    "context": only("auto"),
    "mode": only("standard"),
}

# What clients echo: our own answers, those of other servers, and what client packages add.
_ECHOED = {
    "annotations": NO_EFFECT,
    "cache_control": NO_EFFECT,
    "parsed": NO_EFFECT,
    "parse_errors": NO_EFFECT,
    "provider_specific_fields": NO_EFFECT,
    "reasoning_details": NO_EFFECT,
    "schema_checks": NO_EFFECT,
    "thinking_blocks": NO_EFFECT,
    "token_ids": NO_EFFECT,
}
MESSAGE: Mapping[str, Decision] = {
    **_ECHOED,
    "role": DONE,
    "content": DONE,
    "name": DONE,
    "reasoning_content": DONE,
    "reasoning": DONE,
    "refusal": DONE,
    "tool_calls": DONE,
    "tool_call_id": DONE,
    "audio": REFUSED,
    "function_call": REFUSED,
    "images": only([]),
    "partial": only(False),
    "prefix": only(False),
}
PART: Mapping[str, Decision] = {
    **_ECHOED,
    "type": DONE,
    "text": DONE,
    "refusal": DONE,
    "logprobs": NO_EFFECT,
    "prompt_cache_breakpoint": NO_EFFECT,
}
CALL: Mapping[str, Decision] = {
    "id": DONE,
    "type": DONE,
    "function": DONE,
    "index": NO_EFFECT,
    "custom": REFUSED,
    "extra_content": NO_EFFECT,
    "cache_control": NO_EFFECT,
    "provider_specific_fields": NO_EFFECT,
}
CALL_FUNCTION: Mapping[str, Decision] = {
    "name": DONE,
    "arguments": DONE,
    "parsed_arguments": NO_EFFECT,
    "provider_specific_fields": NO_EFFECT,
}
TOOL: Mapping[str, Decision] = {"type": DONE, "function": DONE, "cache_control": NO_EFFECT}
# Arguments are held to their schema whether `strict` is set or not.
TOOL_FUNCTION: Mapping[str, Decision] = {
    "name": DONE,
    "description": DONE,
    "parameters": DONE,
    "strict": NO_EFFECT,
    "cache_control": NO_EFFECT,
}
NAMED_CHOICE: Mapping[str, Decision] = {"type": DONE, "function": DONE}
NAMED_FUNCTION: Mapping[str, Decision] = {"name": DONE}
RESPONSES_TOOL: Mapping[str, Decision] = {
    **TOOL_FUNCTION,
    "type": DONE,
    "output_schema": NO_EFFECT,
    "defer_loading": only(False),
    "async": only(False),
    "allowed_callers": only(["direct"]),
}
RESPONSES_CHOICE: Mapping[str, Decision] = {"type": DONE, "name": DONE}
_ITEM = {"id": NO_EFFECT, "type": DONE, "status": NO_EFFECT, "caller": NO_EFFECT, "parsed_arguments": NO_EFFECT}
INPUT_MESSAGE: Mapping[str, Decision] = {**_ITEM, "role": DONE, "content": DONE, "phase": NO_EFFECT}
INPUT_CALL: Mapping[str, Decision] = {
    **_ITEM,
    "call_id": DONE,
    "name": DONE,
    "arguments": DONE,
    "namespace": REFUSED,
    "async": only(False),
}
INPUT_CALL_OUTPUT: Mapping[str, Decision] = {
    **_ITEM,
    "call_id": DONE,
    "output": DONE,
    "name": NO_EFFECT,
    "namespace": REFUSED,
}
INPUT_REASONING: Mapping[str, Decision] = {
    **_ITEM,
    "content": DONE,
    "summary": NO_EFFECT,
    "encrypted_content": NO_EFFECT,
}
WEIGHTS: Mapping[str, Decision] = {"model_path": DONE}


def decide(decisions: Mapping[str, Decision], value: Any) -> Any:
    """The parameters of `value` that are done; what isn't an object is returned as it is.

    Raises:
        PydanticCustomError: a parameter that isn't known, or a value that would change the answer and isn't done;
            its context names the parameter (`parameter`).
    """
    if not isinstance(value, Mapping):
        return value
    done = {}
    for name, given in value.items():
        if given is None:
            continue
        decision = decisions.get(name)
        if decision is None:
            raise _refusal(name, "is not a field of this request")
        if decision.done:
            done[name] = given
        elif decision.harmless is not None and given not in decision.harmless:
            accepted = " or ".join(repr(harmless) for harmless in decision.harmless)
            what = f"{_short(given)} is not supported here; {accepted} is" if accepted else "is not supported here"
            raise _refusal(name, what)
    return done


def _refusal(name: str, what: str) -> PydanticCustomError:
    # Braces would be taken for places of the context.
    return PydanticCustomError("refused", "{what}", {"parameter": name, "what": what})


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
