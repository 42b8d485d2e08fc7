"""What a processor has, found once: the level of its instructions, and the type that it multiplies fast."""

import functools
import os
import platform

import torch

from kernels.errors import ConfigError

PROCESSOR = "K2_PROCESSOR"  # a lower level than the processor has, to try what runs on others
VARIABLE = "K2_FAST_DTYPE"  # `float32` or `bfloat16`: overrides what the processor has
NAMES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ARM = platform.machine() in ("aarch64", "arm64")
# Each level has the instructions of those before it, by the names of torch.cpu.get_capabilities().
LEVELS: dict[str, tuple[str, ...]] = {
    "generic": (),
    "avx2": ("avx2", "fma3"),
    "avx512": ("avx512_f", "avx512_bw", "avx512_vl", "avx512_dq"),
    "avx512_vnni": ("avx512_vnni",),
    "avx512_bf16": ("avx512_bf16",),
    "amx": ("amx_tile", "amx_bf16"),
}
if ARM:
    LEVELS = {"generic": (), "neon": ("neon", "dot")}
ORDER = tuple(LEVELS)


def best() -> str:
    """The highest level of this processor; `generic` where it is neither x86-64 nor a 64-bit ARM."""
    return _best()


def level() -> str:
    """The level to use: the best one, or the lower one that K2_PROCESSOR names.

    Raises:
        ConfigError: K2_PROCESSOR names no level, or one that the processor does not have.
    """
    return _level(os.environ.get(PROCESSOR) or None)


def at_least(name: str) -> bool:
    """Whether the level to use is this one or a higher one; False for one of other processors."""
    return name in ORDER and ORDER.index(level()) >= ORDER.index(name)


@functools.cache
def _best() -> str:
    has = torch.cpu.get_capabilities()
    found = ORDER[0]
    for name, instructions in LEVELS.items():
        if not all(has.get(instruction) for instruction in instructions):
            break
        found = name
    return found


@functools.cache
def _level(asked: str | None) -> str:
    if asked is None:
        return _best()
    if asked not in LEVELS:
        raise ConfigError(f"{PROCESSOR}: {asked!r} is none of {', '.join(LEVELS)}")
    if ORDER.index(asked) > ORDER.index(_best()):
        raise ConfigError(f"{PROCESSOR}: {asked!r} is more than this processor's {_best()}")
    return asked


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
    if torch.device(device).type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if at_least("avx512_bf16") else torch.float32


def products_in(stored: torch.dtype, device: torch.device | str = "cpu") -> torch.dtype:
    """The type to multiply weights of type `stored` in: their own, but for bfloat16 where that would be emulated."""
    return fast_dtype(device) if stored == torch.bfloat16 else stored
