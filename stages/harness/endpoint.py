"""How a model behind a URL is named and asked. Apart from `teacher.py`, since that needs torch."""

from collections.abc import Sequence

from pydantic import Field

from stages.harness.section import Section


class EndpointParams(Section):
    """How every model behind a URL is asked; budgets of 0 are no limit."""

    key_variable: str
    concurrency: int = Field(ge=1)
    timeout_s: float = Field(gt=0)
    retries: int = Field(ge=0)
    budget_tokens: int = Field(ge=0)
    budget_usd: float = Field(ge=0)
    usd_per_million_in: float = Field(ge=0)
    usd_per_million_out: float = Field(ge=0)


def is_endpoint(spec: str) -> bool:
    return spec.startswith(("http://", "https://"))


def check_teacher(key: str, spec: str, local: Sequence[str]) -> None:
    """Raises ValueError when `spec` is neither one of `local` nor URL#model."""
    if not is_endpoint(spec):
        if spec not in local:
            raise ValueError(f"{key} {spec!r}: neither {' nor '.join(local)} nor a URL#model")
    elif not spec.partition("#")[2]:
        raise ValueError(f"{key} {spec!r}: a URL needs the name of its model, URL#model")
