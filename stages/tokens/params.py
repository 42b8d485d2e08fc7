"""`tokens` in params.yaml."""

from pydantic import Field

from stages.harness.section import Section


class TokensParams(Section):
    """Memory-mapped token shards; `decontaminate` leaves out documents that share 13 words with a benchmark."""

    decontaminate: bool
    shard_tokens: int = Field(ge=1024)
