"""What a model sees of a tool."""

from collections.abc import Mapping
from typing import Any


def declaration(name: str, description: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """In the OpenAI shape; `parameters` is a JSON Schema."""
    function = {"name": name, "description": description, "parameters": dict(parameters)}
    return {"type": "function", "function": function}
