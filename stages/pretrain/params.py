"""`pretrain` in params.yaml."""

from pydantic import Field

from stages.section import Section


class PretrainParams(Section):
    """MuonClip pre-training in a DeepSpeed engine."""

    steps: int = Field(ge=1)
    sequence_length: int = Field(ge=8)
    global_batch_tokens: int = Field(ge=8)
