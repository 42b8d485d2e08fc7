"""How a model behind a URL is named and asked. Apart from `teacher.py`, since that needs torch."""

from collections.abc import Sequence

from pydantic import Field

from agents.chat.redact import public, redact
from agents.chat.spec import is_endpoint, needs_model
from stages.harness.section import Section


class EndpointParams(Section):
    """How every model behind a URL is asked; budgets of 0 are no limit.

    max_failed_share: of a model's requests that may be refused or fail; a request that fails costs itself alone, a
    larger share stops the stage.
    """

    key_variable: str
    concurrency: int = Field(ge=1)
    timeout_s: float = Field(gt=0)
    retries: int = Field(ge=0)
    budget_tokens: int = Field(ge=0)
    budget_usd: float = Field(ge=0)
    usd_per_million_in: float = Field(ge=0)
    usd_per_million_out: float = Field(ge=0)
    max_failed_share: float = Field(ge=0, le=1)


def check_teacher(key: str, spec: str, local: Sequence[str]) -> None:
    """Raises ValueError when `spec` is neither one of `local` nor URL#model."""
    if not is_endpoint(spec):
        if spec not in local:
            raise ValueError(f"{key} {redact(public(spec))!r}: neither {' nor '.join(local)} nor a URL#model")
    elif needs_model(spec):
        raise ValueError(f"{key} {public(spec)!r}: a URL needs the name of its model, URL#model")
