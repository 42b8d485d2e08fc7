"""Which form each hot loop runs on this machine's processor, and why: what `k2 doctor` prints."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from kernels import processor
from kernels.few_rows import MOST_ROWS
from kernels.int4 import native


@dataclass(frozen=True)
class Form:
    """Of one hot loop."""

    loop: str
    form: str
    why: str


def forms() -> Iterator[Form]:
    """Of each loop that has several.

    Raises:
        ConfigError: an environment variable names what there is not.
    """
    best, level = processor.best(), processor.level()
    why = f"the processor has {best}" + (f", {processor.PROCESSOR} asks for {level}" if level != best else "")
    products = why
    try:
        native.build()
    except native.BuildError as error:
        why = str(error)
    if os.environ.get(processor.VARIABLE):
        products = f"{processor.VARIABLE} asks for it"
    yield Form("INT4 products", native.isa(), f"{why}; avx512 needs avx512_bf16")
    yield Form("INT4 rounding", native.isa(), f"{why}; avx512 needs avx512_bf16")
    yield Form("decoding steps", native.vector_isa(), f"{why}; RMSNorm, choice of experts, attention over the cache")
    yield Form("products of few rows", native.vector_isa(), f"{why}; weights read in place, up to {MOST_ROWS} rows")
    dtype = str(processor.fast_dtype()).removeprefix("torch.")
    yield Form("matrix products", dtype, f"{products}; bfloat16 needs avx512_bf16; training, teacher, Newton-Schulz")
