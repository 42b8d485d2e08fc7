"""JSON answers and tool calls against their schema."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jsonschema
import regex
from referencing.exceptions import Unresolvable

from gym.verifiers.result import Result, Status
from k2model.chat.model_json import ModelJsonError, loads_arguments, loads_model_json

PATTERN_S = 1.0  # for one text: a few characters can be enough to backtrack for hours


def _check_pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[jsonschema.ValidationError]:
    if isinstance(instance, str) and regex.search(pattern, instance, timeout=PATTERN_S) is None:
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


_Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": _check_pattern})


def json_schema(answer: str, schema: Mapping[str, Any]) -> Result:
    """1.0 when the whole text is JSON that satisfies the schema."""
    if not answer.strip():
        return Result(0.0, Status.NO_ANSWER, "empty answer")
    try:
        value = loads_model_json(answer)
    except ModelJsonError as error:
        return Result(0.0, Status.SCORED, str(error))
    return _satisfies(value, schema)


def _satisfies(value: Any, schema: Mapping[str, Any]) -> Result:
    try:
        _Validator.check_schema(dict(schema))
        error_ = next(iter(_Validator(dict(schema)).iter_errors(value)), None)
    except jsonschema.SchemaError as error:
        return Result(None, Status.VERIFIER_ERROR, f"the schema is invalid: {error.message}")
    except Unresolvable as error:
        return Result(None, Status.VERIFIER_ERROR, f"the schema refers to what it doesn't have: {error.ref}")
    except RecursionError:
        return Result(None, Status.VERIFIER_ERROR, "the schema refers to itself without end")
    except (regex.error, ValueError, OverflowError) as error:  # what one of both readers of patterns refuses
        return Result(None, Status.VERIFIER_ERROR, f"a pattern of the schema is none: {error}"[:160])
    except TimeoutError:
        return Result(None, Status.VERIFIER_ERROR, f"a pattern of the schema takes more than {PATTERN_S:g} s")
    if error_ is not None:
        path = "/".join(map(str, error_.absolute_path)) or "the value"
        return Result(0.0, Status.SCORED, f"{path}: {error_.message}"[:160])
    return Result(1.0, Status.SCORED, "valid")


def tool_calls(calls: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> Result:
    """K2 Vendor Verifier's rule: every call names a declared tool, its arguments parse and satisfy the schema.

    Empty arguments are none, as for whoever runs the call.
    """
    if not calls:
        return Result(0.0, Status.NO_ANSWER, "no call")
    declared = {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in tools}
    for call in calls:
        name = call["function"]["name"]
        if name not in declared:
            return Result(0.0, Status.SCORED, f"undeclared tool {name}")
        try:
            result = _satisfies(loads_arguments(call["function"]["arguments"]), declared[name])
        except ModelJsonError as error:
            return Result(0.0, Status.SCORED, f"{name}: {error}")
        if result.score != 1.0:
            return Result(result.score, result.status, f"{name}: {result.reason}")
    return Result(1.0, Status.SCORED, f"{len(calls)} valid")
