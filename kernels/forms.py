"""Which form each hot loop runs on this machine's processor, and why: what `k2 doctor` prints."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from kernels import processor
from kernels.few_rows import MOST_ROWS
from kernels.int4 import native

# The lowest level that has each form, the best one first.
SIXTEEN_BITS = ("avx512_bf16", "avx512", "avx2", "neon")
EIGHT_BITS = ("avx512_vnni", "avx2", "neon")
VECTORS = ("avx512", "avx2", "neon")


@dataclass(frozen=True)
class Form:
    """Of one hot loop."""

    loop: str
    form: str
    why: str


def form_of(levels: tuple[str, ...]) -> str:
    """The first of these levels that is not above the one in use; `torch` where the library has none."""
    if native.isa() == "torch":
        return "torch"
    return next(name for name in levels if processor.at_least(name))


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
    yield Form("INT4, 16-bit activations", form_of(SIXTEEN_BITS), f"{why}; in float32 below avx512_bf16")
    yield Form("INT4, 8-bit activations", form_of(EIGHT_BITS), f"{why}; avx512_vnni or avx2")
    yield Form("INT4 rounding", form_of(VECTORS), why)
    yield Form("decoding steps", form_of(VECTORS), f"{why}; RMSNorm, choice of experts, attention over the cache")
    yield Form("products of few rows", form_of(VECTORS), f"{why}; weights read in place, up to {MOST_ROWS} rows")
    dtype = str(processor.fast_dtype()).removeprefix("torch.")
    yield Form("matrix products", dtype, f"{products}; bfloat16 needs avx512_bf16; training, teacher, Newton-Schulz")
