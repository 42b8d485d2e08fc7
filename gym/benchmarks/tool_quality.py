"""Tool-call quality as in K2's Vendor Verifier: are calls made when they should be, and do they satisfy the schema.

`schema_accuracy` = answers whose every call names a declared tool and satisfies its schema / answers with calls.
`trigger_f1` = harmonic mean of precision and recall of "this answer calls a tool" against the reference's decision.
The headline score of a sample is 1 when it decides as the reference does, and what it calls is valid.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from gym.benchmarks import base
from gym.benchmarks.base import Benchmark, Grade, Reply, Sample
from gym.benchmarks.bfcl import tool_calls
from gym.verifiers.schema import tool_calls as valid_calls

CITIES = ("Paris", "Oslo", "Lima", "Kyoto", "Cairo", "Quito")
CHAT = ("Thank you, that was all.", "What is your name?", "Please write one sentence about {}.")


def _tool(name: str, what: str, **properties: Mapping[str, Any]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": what, "parameters": schema}}


TOOLS = (
    _tool("get_weather", "Weather of a city.", city={"type": "string"}, days={"type": "integer", "minimum": 1}),
    _tool(
        "convert", "Converts money.", amount={"type": "number"}, to={"type": "string", "enum": ["EUR", "USD", "JPY"]}
    ),
    _tool("set_alarm", "Sets an alarm.", time={"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$"}),
)


def generated(n: int = 60) -> list[dict[str, Any]]:
    """Requests of which three in five need one of the tools; the reference call is known."""
    rng = Random("tool-quality")
    rows: list[dict[str, Any]] = []
    for number in range(n):
        city, days, amount = rng.choice(CITIES), rng.randrange(1, 8), rng.randrange(5, 500)
        time = f"{rng.randrange(24):02d}:{rng.randrange(60):02d}"
        asks = (
            (f"How will the weather be in {city} for {days} days?", {"get_weather": {"city": city, "days": days}}),
            (f"Convert {amount} to EUR.", {"convert": {"amount": amount, "to": "EUR"}}),
            (f"Wake me at {time}.", {"set_alarm": {"time": time}}),
            (CHAT[number % 3].format(city), None),
            (CHAT[(number + 1) % 3].format(city), None),
        )
        text, call = asks[number % 5]
        rows.append(
            {
                "id": f"builtin-{number}",
                "messages": [{"role": "user", "content": text}],
                "tools": list(TOOLS),
                "finish_reason": "tool_calls" if call else "stop",
                "call": call,
            }
        )
    return rows


class ToolQuality(Benchmark):
    """`path`: JSON Lines with messages, tools and the reference's finish_reason."""

    name = "tool_quality"

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        if path is None:
            self.rows, self.manifest = base.built_in(self.name, None, generated())
        else:
            self.rows, self.manifest = base.official(self.name, path, base.read_rows)

    def items(self) -> list[Sample]:
        samples = []
        for number, row in enumerate(self.rows):
            base.missing(row, ("messages", "tools", "finish_reason"), f"{self.name} row {number}")
            gold = {"calls": row["finish_reason"] == "tool_calls", "call": row.get("call")}
            name = str(row.get("id", number))
            samples.append(Sample(name, tuple(row["messages"]), gold, tools=tuple(row["tools"])))
        return samples

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        wanted, called = sample.gold["calls"], bool(reply.tool_calls)
        result = valid_calls(reply.tool_calls, sample.tools)
        valid = called and result.score == 1.0
        parts = {"wanted": float(wanted), "called": float(called), "valid": float(valid)}
        reason = result.reason if called else "no call"
        return base.scored(wanted == called and (valid or not called), "", reason, **parts)

    def gold_reply(self, sample: Sample) -> Reply:
        call = sample.gold["call"]
        return Reply("", tool_calls=tool_calls([call])) if call else Reply("I can answer that without a tool.")

    def summary(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        parts = [row["parts"] for row in rows]
        called = sum(part["called"] for part in parts)
        both = sum(part["called"] * part["wanted"] for part in parts)
        wanted = sum(part["wanted"] for part in parts)
        f1 = 2 * both / (called + wanted) if called + wanted else 1.0
        metrics = {"trigger_f1": f1}
        if called:
            metrics["schema_accuracy"] = sum(part["valid"] for part in parts) / called
        return metrics
