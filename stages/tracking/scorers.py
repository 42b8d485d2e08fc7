"""The project's verifiers as scorers of `mlflow.genai.evaluate`, over traces of held conversations.

What needs the conversation's world (its final state, the desk's rules) the stage's own judge has decided; its verdict
stands on the trace. These read the trace alone: its spans, and its expectation `rubric`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from mlflow.entities import Feedback, SpanType, Trace
from mlflow.genai.scorers import Scorer, scorer

from agents.conversations.said import is_said
from gym.verifiers import schema
from k2model.chat.model_json import ModelJsonError, loads_arguments

TODAY = re.compile(r"Today is (\d{4}-\d\d-\d\d)\.")  # of an agent's system prompt (agents/conversations/agents.py)


def _calls(trace: Trace) -> list[dict[str, Any]]:
    spans = trace.search_spans(span_type=SpanType.TOOL)
    return [{"function": {"name": span.name, "arguments": span.inputs["arguments"]}} for span in spans]


def _rubric(trace: Trace) -> Mapping[str, Any]:
    said = trace.search_assessments("rubric", type="expectation")
    return said[0].value if said else {}


@scorer
def calls_valid(trace: Trace) -> list[Feedback]:
    """K2 Vendor Verifier's rule: declared tools, arguments that satisfy the schema. Nothing where no call was made."""
    calls = _calls(trace)
    if not calls:
        return []
    result = schema.tool_calls(calls, trace.search_spans(span_type=SpanType.AGENT)[0].attributes["tools"])
    if result.score is None:
        return [Feedback(name="calls_valid", error=result.reason)]
    return [Feedback(name="calls_valid", value=result.score == 1.0, rationale=result.reason)]


def _parsed(call: Mapping[str, Any]) -> tuple[str, Any]:
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    try:
        return name, loads_arguments(arguments)
    except ModelJsonError:
        return name, arguments


def _missing(values: Sequence[Any], trace: Trace) -> list[Any] | None:
    """Values that the assistant never said; None where the trace doesn't tell the day of the conversation."""
    turns = trace.search_spans(span_type=SpanType.LLM)
    heard = turns[0].inputs["messages"] if turns else []
    found = TODAY.search("\n".join(str(message["content"]) for message in heard if message["role"] == "system"))
    if found is None:
        return None
    texts = [str(turn.outputs.get("content") or "") for turn in turns]
    return [value for value in values if not is_said(value, texts, date.fromisoformat(found[1]))]


@scorer
def rubric(trace: Trace) -> list[Feedback]:
    """What the task's rubric asks for and the messages alone can show, one assessment each."""
    wanted, calls = _rubric(trace), _calls(trace)
    results = []
    if "at_most_calls" in wanted:
        most = wanted["at_most_calls"]
        said = f"{len(calls)} calls, at most {most}"
        results.append(Feedback(name="rubric/at_most_calls", value=len(calls) <= most, rationale=said))
    if "calls" in wanted:
        gold = [(call["tool"], call["arguments"]) for call in wanted["calls"]]
        made = [_parsed(call) for call in calls]
        odd = next((f"call {k}: wanted {g}, made {m}" for k, (g, m) in enumerate(zip(gold, made)) if g != m), "")
        said = odd or f"{len(made)} calls, wanted {len(gold)}"
        results.append(Feedback(name="rubric/exact_calls", value=gold == made, rationale=said[:500]))
    criteria = [one for one in wanted.get("success", []) if isinstance(one, Mapping)]
    values = [value for one in criteria if one.get("must") == "be told" for value in one["values"]]
    missing = _missing(values, trace) if values else None
    if missing is not None:
        said = f"not said: {missing}" if missing else f"said: {values}"
        results.append(Feedback(name="rubric/told", value=not missing, rationale=said[:500]))
    return results


SCORERS: list[Scorer] = [calls_valid, rubric]
