"""`tokens` in params.yaml."""

from pydantic import Field

from stages.harness.section import Section


class TokensParams(Section):
    """Memory-mapped token shards; `decontaminate` leaves out documents that share 13 words with a benchmark.

    rephrased_times: how often each rephrasing stands in an epoch (K2: once, of ten); 0 leaves them out.
    """

    decontaminate: bool
    shard_tokens: int = Field(ge=1024)
    rephrased_times: int = Field(ge=0)
