"""What a processor multiplies fast."""

import functools
import os

import torch

from kernels.errors import ConfigError

VARIABLE = "K2_FAST_DTYPE"  # `float32` or `bfloat16`: overrides what the processor has
NAMES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def fast_dtype(device: torch.device | str = "cpu") -> torch.dtype:
    """The type to multiply in: bfloat16 where the processor has instructions for it, else float32.

    Where it has none, torch emulates bfloat16: right values, at a quarter of float32's speed or less.

    Raises:
        ConfigError: the environment variable K2_FAST_DTYPE names another type.
    """
    asked = os.environ.get(VARIABLE)
    if asked:
        if asked not in NAMES:
            raise ConfigError(f"{VARIABLE}: {asked!r} is none of {', '.join(NAMES)}")
        return NAMES[asked]
    return torch.bfloat16 if _has_bfloat16(torch.device(device).type) else torch.float32


def products_in(stored: torch.dtype, device: torch.device | str = "cpu") -> torch.dtype:
    """The type to multiply weights of type `stored` in: their own, but for bfloat16 where that would be emulated."""
    return fast_dtype(device) if stored == torch.bfloat16 else stored


@functools.cache
def _has_bfloat16(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))
