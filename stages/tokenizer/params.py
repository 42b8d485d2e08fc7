"""`tokenizer` in params.yaml."""

from pydantic import Field

from stages.harness.section import Section


class TokenizerParams(Section):
    """Byte-level BPE with K2's special tokens, learned from a sample of some `sample_chars` characters."""

    vocab_size: int = Field(ge=288, multiple_of=32)
    sample_chars: int = Field(ge=1)
    model_max_length: int = Field(ge=1)
