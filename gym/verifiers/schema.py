"""JSON answers and tool calls against their schema."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema

from gym.verifiers.result import Result, Status


def json_schema(answer: str, schema: Mapping[str, Any]) -> Result:
    """1.0 when the whole text is JSON that satisfies the schema."""
    if not answer.strip():
        return Result(0.0, Status.NO_ANSWER, "empty answer")
    try:
        value = json.loads(answer)
    except json.JSONDecodeError as error:
        return Result(0.0, Status.SCORED, f"not JSON: {error.msg} at {error.pos}")
    try:
        jsonschema.Draft202012Validator.check_schema(dict(schema))
        error_ = next(iter(jsonschema.Draft202012Validator(dict(schema)).iter_errors(value)), None)
    except jsonschema.SchemaError as error:
        return Result(None, Status.VERIFIER_ERROR, f"the schema is invalid: {error.message}")
    if error_ is not None:
        place = "/".join(map(str, error_.absolute_path)) or "the value"
        return Result(0.0, Status.SCORED, f"{place}: {error_.message}"[:160])
    return Result(1.0, Status.SCORED, "valid")


def tool_calls(calls: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> Result:
    """K2 Vendor Verifier's rule: every call names a declared tool, its arguments parse and satisfy the schema."""
    if not calls:
        return Result(0.0, Status.NO_ANSWER, "no call")
    declared = {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in tools}
    for call in calls:
        name = call["function"]["name"]
        if name not in declared:
            return Result(0.0, Status.SCORED, f"undeclared tool {name}")
        found = json_schema(str(call["function"]["arguments"]), declared[name])
        if found.score != 1.0:
            return Result(found.score, found.status, f"{name}: {found.reason}")
    return Result(1.0, Status.SCORED, f"{len(calls)} valid")
