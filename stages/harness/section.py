"""The base of every section of `params.yaml`."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Unknown keys are refused and types are not coerced, so that a typo can't train a model."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
