"""`evaluate` in params.yaml."""

from pydantic import Field

from stages.section import Section


class EvaluateParams(Section):
    """What the checkpoint is measured on."""

    validation_tokens: int = Field(ge=1)
    sequence_length: int = Field(ge=8)
    facts: int = Field(ge=1)
    shots: int = Field(ge=0)
    answer_tokens: int = Field(ge=1)
    batch_size: int = Field(ge=1)
