import pytest

from stages.dial import load_params, parse_params
from stages.harness.errors import InputError
from stages.tracking.gate import GateParams, Rule, judge

GATE = GateParams(
    rules=[
        Rule(metric="loss", better="lower", bound=5.0, slack=0.1),
        Rule(metric="score", better="higher", bound=0.2, slack=0.05),
    ]
)


@pytest.mark.parametrize(
    ("scores", "champion", "lines"),
    [
        ({"loss": 5.0, "score": 0.2}, None, []),
        ({"loss": 4.0, "score": 0.5}, {"loss": 3.95, "score": 0.54}, []),
        ({"loss": 5.1, "score": 0.5}, None, ["loss 5.1 is above the bound 5"]),
        ({"loss": 4.0}, None, ["score was not measured"]),
        ({"loss": 4.2, "score": 0.5}, {"loss": 4.0}, ["loss 4.2 is above the champion's 4 by more than 0.1"]),
        ({"loss": 4.0, "score": 0.3}, {"score": 0.5}, ["score 0.3 is below the champion's 0.5 by more than 0.05"]),
        ({"loss": 9.0, "score": 0.0}, None, ["loss 9 is above the bound 5", "score 0 is below the bound 0.2"]),
    ],
)
def test_each_broken_rule_is_one_line(
    scores: dict[str, float], champion: dict[str, float] | None, lines: list[str]
) -> None:
    assert judge(GATE, scores, champion) == lines


def test_a_metric_with_two_rules_is_refused_by_name() -> None:
    value = load_params().model_dump(mode="json")
    value["gate"]["rules"].append(value["gate"]["rules"][0])
    with pytest.raises(InputError, match="validation_loss has two rules"):
        parse_params(value)
