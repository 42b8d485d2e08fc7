"""The gate before `champion`: which scores a checkpoint needs, alone and beside the present champion."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from stages.harness.section import Section


class Rule(Section):
    """One score: its bound, and how much worse than the present champion's it may be.

    `metric` is a key of metrics/scores.json, or `<stage>/<key>` of another stage's metrics.
    """

    metric: str = Field(min_length=1)
    better: Literal["lower", "higher"]
    bound: float
    slack: float = Field(ge=0)


class GateParams(Section):
    """When a registered checkpoint becomes the champion; the candidate is always the newest."""

    rules: list[Rule]

    @model_validator(mode="after")
    def _once(self) -> "GateParams":
        names = [rule.metric for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]} has two rules")
        return self


def judge(gate: GateParams, scores: Mapping[str, float], champion: Mapping[str, float] | None) -> list[str]:
    """Why a checkpoint with `scores` may not become the champion, one line a broken rule; empty when it may.

    Args:
        champion: the present champion's scores; None when there is none. A score that it lacks binds nobody.
    """
    broken = []
    for rule in gate.rules:
        value = scores.get(rule.metric)
        if value is None:
            broken.append(f"{rule.metric} was not measured")
            continue
        sign = 1.0 if rule.better == "higher" else -1.0
        side = "below" if rule.better == "higher" else "above"
        if sign * (value - rule.bound) < 0:
            broken.append(f"{rule.metric} {value:.4g} is {side} the bound {rule.bound:.4g}")
        held = None if champion is None else champion.get(rule.metric)
        if held is not None and sign * (value - held) < -rule.slack:
            than = f"the champion's {held:.4g} by more than {rule.slack:.4g}"
            broken.append(f"{rule.metric} {value:.4g} is {side} {than}")
    return broken
