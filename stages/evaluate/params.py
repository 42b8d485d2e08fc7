"""`evaluate` in params.yaml."""

from pydantic import Field

from stages.section import Section


class EvaluateParams(Section):
    """What the checkpoint is measured on."""

    validation_tokens: int = Field(ge=1)
    facts: int = Field(ge=1)
    batch_size: int = Field(ge=1)
