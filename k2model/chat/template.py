"""The chat template of a model folder beside K2's format, which is the one that is trained and spoken here."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from k2model.chat.messages import TEMPLATE, render
from k2model.errors import ConfigError

_CALL = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
_TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
_ASKED = {"role": "user", "content": "a"}
_PROBES: dict[str, tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]] | None]] = {
    "a question": ([_ASKED], None),
    "a system message": ([{"role": "system", "content": "s"}, _ASKED], None),
    "an earlier answer": ([_ASKED, {"role": "assistant", "content": "b", "reasoning_content": "r"}, _ASKED], None),
    "tools": ([_ASKED], _TOOLS),
    "a call and its result": (
        [
            _ASKED,
            {"role": "assistant", "content": "", "reasoning_content": "r", "tool_calls": [_CALL]},
            {"role": "tool", "tool_call_id": "functions.f:0", "content": "c"},
        ],
        _TOOLS,
    ),
}


def folder_template(folder: Path) -> str | None:
    """The template that transformers would use; None where the folder has none.

    Raises:
        ConfigError: it can't be read.
    """
    own, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    try:
        if own.exists():
            return own.read_text(encoding="utf-8")
        value = json.loads(config.read_text(encoding="utf-8")) if config.exists() else {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{own if own.exists() else config}: can't be read: {' '.join(str(error).split())}") from None
    template = value.get("chat_template") if isinstance(value, dict) else None
    return template if isinstance(template, str) and template else None


def differences(folder: Path) -> list[str]:
    """What the folder's template renders otherwise than K2's format does; nothing where it has none."""
    template = folder_template(folder)
    if template is None or template == TEMPLATE:
        return []
    from transformers.utils.chat_template_utils import render_jinja_template  # seconds to import

    def equal(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None) -> bool:
        try:
            (text,), _ = render_jinja_template(
                conversations=[messages], tools=tools, chat_template=template, add_generation_prompt=True
            )
        except Exception:  # noqa: BLE001 — a template is a program of others: it may raise anything
            return False
        return text == render(messages, tools, add_generation_prompt=True)

    return [name for name, (messages, tools) in _PROBES.items() if not equal(messages, tools)]
