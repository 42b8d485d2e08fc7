"""`tokens` in params.yaml."""

from pydantic import Field

from stages.section import Section


class TokensParams(Section):
    """Memory-mapped token shards."""

    shard_tokens: int = Field(ge=1024)
