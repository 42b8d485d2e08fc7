"""What an endpoint said: an answer, a refusal of this one request, or something that concerns every request."""

import json
import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from agents.chat.protocol import ChatAnswer, ChatError, ChatRefusal, ChatResponse
from k2model.chat.model_json import ModelJsonError, loads_model_json

PASSING = frozenset({408, 409, 425, 429})  # and all from 500 on but these two
NEVER = frozenset({501, 505})
FOR_ALL = frozenset({401, 402, 403, 404, 405, 407, 410})  # of the key, the account, the path, the model
FOR_ALL_CODES = frozenset(  # that some endpoints send with a 400 or a 429
    "invalid_api_key api_key_invalid authentication_error permission_denied model_not_found invalid_model "
    "deploymentnotfound insufficient_quota insufficient_balance billing_hard_limit_reached billing_not_active "
    "account_deactivated".split()
)
LONGEST_PAUSE_S = 300.0
_FILTER = re.compile(
    r"content[ _-]?(filter|policy|management)|moderat|flagged|safety|blocked by|harmful", re.IGNORECASE
)
_LONG = re.compile(
    r"context[ _-]?(length|window|size)|maximum context|(prompt|input|request|message)s? (is|are) too (long|large)"
    r"|too many (input )?tokens|reduce the length|exceeds? the context|tokens? with the answer",
    re.IGNORECASE,
)


class MayPass(Exception):
    """A failure that another try may not meet; `after_s` is the pause that the endpoint asked for."""

    def __init__(self, what: str, after_s: float = 0.0) -> None:
        super().__init__(what)
        self.after_s = after_s


class Unreachable(MayPass):
    """No connection came about; after the last try this concerns every request."""


class Malformed(MayPass):
    """A whole answer in no known form; one more try is enough to know that it stays so."""


def read_reply(status: int, headers: Mapping[str, str], body: bytes) -> ChatAnswer:
    """The answer in an HTTP response, or the refusal; reasons hold foreign text, which is to be redacted.

    Raises:
        MayPass: worth another try.
        ChatError: the same would come for every request.
    """
    text = body.decode("utf-8-sig", "replace")
    if status != 200:
        return _refusal(status, text, asked_pause(headers))
    try:
        value = loads_model_json(text)
    except ModelJsonError as error:
        raise MayPass(f"an answer that is no chat completion ({error})") from None
    if isinstance(value, dict) and value.get("error") and not value.get("choices"):
        code = value["error"].get("code") if isinstance(value["error"], dict) else None
        return _refusal(int(str(code)) if re.fullmatch("[45][0-9]{2}", str(code)) else 400, text, asked_pause(headers))
    return _completion(value)


def _refusal(status: int, text: str, pause: float) -> ChatRefusal:
    message, codes = _error(text)
    if codes & FOR_ALL_CODES:
        raise ChatError(f"status {status}: {message}")
    if status in PASSING or (status >= 500 and status not in NEVER):
        raise MayPass(f"status {status}", pause)
    filtered = bool(_FILTER.search(text))
    if not 400 <= status < 500 or (status in FOR_ALL and not (status == 403 and filtered)):
        raise ChatError(f"status {status}: {message}")
    too_long = not filtered and (status == 413 or bool(_LONG.search(text)))
    return ChatRefusal("too_long" if too_long else "refused", f"status {status}: {message}")


def _error(text: str) -> tuple[str, set[str]]:
    """(message, codes) of an error's JSON; a text that is none is its own message."""
    try:
        value = loads_model_json(text)
    except ModelJsonError:
        return text, set()
    error = value.get("error") or value if isinstance(value, dict) else value
    if not isinstance(error, dict):
        return error if isinstance(error, str) else text, set()
    codes = [code for code in (error.get(key) for key in ("code", "type", "status")) if isinstance(code, str)]
    told = error.get("message") or error.get("detail")
    message = ": ".join([*codes[:1], told]) if isinstance(told, str) else text
    return message, {code.lower() for code in codes}


def _completion(value: Any) -> ChatAnswer:
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Malformed("an answer without a choice")
    choice = choices[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        raise Malformed("a choice without a message")
    text, reasoning = _content(message.get("content"))
    calls = tuple(_call(call) for call in _list(message.get("tool_calls")))
    finish = choice.get("finish_reason")
    refusal = message.get("refusal")
    if finish == "content_filter" or (isinstance(refusal, str) and refusal and not text and not calls):
        return ChatRefusal("refused", f"content filter: {refusal}" if refusal else "content filter")
    thought = message.get("reasoning_content") or message.get("reasoning")
    usage = value.get("usage")
    counted = usage if isinstance(usage, dict) else {}
    return ChatResponse(
        text,
        reasoning=thought if isinstance(thought, str) else reasoning,
        tool_calls=calls,
        prompt_tokens=_count(counted.get("prompt_tokens")),
        completion_tokens=_count(counted.get("completion_tokens")),
        finish_reason=finish if isinstance(finish, str) and finish else "stop",
    )


def _content(content: Any) -> tuple[str, str]:
    """(text, reasoning) of a message's content: a string, nothing, or a list of parts."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list):
        raise Malformed(f"content that is {type(content).__name__}")
    text: list[str] = []
    reasoning: list[str] = []
    for part in content:
        if isinstance(part, str):
            text.append(part)
        elif not isinstance(part, dict):
            raise Malformed(f"a part of content that is {type(part).__name__}")
        elif isinstance(part.get("text"), str):
            (reasoning if part.get("type") in ("thinking", "reasoning") else text).append(part["text"])
        elif part.get("thinking") is not None:
            reasoning.append(_content(part["thinking"])[0])
    return "".join(text), "".join(reasoning)


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(f"tool_calls that are {type(value).__name__}")
    return value


def _call(call: Any) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or "arguments" not in function:
        raise Malformed("a tool call without a name or arguments")
    arguments = function["arguments"]
    written = arguments if isinstance(arguments, str) else "" if arguments is None else json.dumps(arguments)
    named = {"name": function["name"], "arguments": written}
    return {"id": str(call.get("id") or ""), "type": "function", "function": named}


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) and value > 0 else 0


def asked_pause(headers: Mapping[str, str]) -> float:
    """Seconds to wait before the next request, from Retry-After and the x-ratelimit-* headers; 0 is none."""
    pause = 0.0
    if after := headers.get("retry-after-ms"):
        pause = _number(after) / 1000
    elif after := headers.get("retry-after"):
        pause = _number(after) or _until(after)
    for what in ("requests", "tokens"):
        if headers.get(f"x-ratelimit-remaining-{what}", "").strip() == "0":
            pause = max(pause, _duration(headers.get(f"x-ratelimit-reset-{what}", "")))
    return min(max(pause, 0.0), LONGEST_PAUSE_S)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def _until(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0


def _duration(text: str) -> float:
    """Seconds of `6m0s`, `1.5s`, `20ms` or a bare number."""
    parts = re.findall(r"([\d.]+)(ms|s|m|h)", text)
    unit = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    return sum(_number(value) * unit[name] for value, name in parts) if parts else _number(text)
