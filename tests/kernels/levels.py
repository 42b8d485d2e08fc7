"""The levels of a processor under which a kernel has a form of its own.

This processor's are tried by forcing them, the others by emulators where these are installed (`pytest -m drivers
tests/kernels`): `neon` is ARM's, what x86-64 has above this machine's level needs Debian's `libsimde-dev`.
"""

from typing import Any

import pytest

from kernels import processor
from kernels.int4 import native
from kernels.processor import ORDER, PROCESSOR, best
from tests.kernels import arm, wide

X86 = ("avx512_bf16", "avx512_vnni", "avx512", "avx2")


def _emulated(name: str, installed: bool, needs: str) -> Any:
    return pytest.param(name, marks=[pytest.mark.drivers, pytest.mark.skipif(not installed, reason=f"no {needs}")])


def _here(name: str) -> bool:
    return name in ORDER and ORDER.index(name) <= ORDER.index(best())


FORMS = [
    *(name if _here(name) else _emulated(name, wide.INSTALLED, "SIMDe on x86-64") for name in X86),
    "neon" if best() == "neon" else _emulated("neon", arm.INSTALLED, f"{arm.COMPILER} or {arm.EMULATOR}"),
]  # without the plain one
LEVELS = [*FORMS, "generic"]


def force(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """This level from now on; threads share even small work, so that the split is part of the test."""
    monkeypatch.setattr(native, "PRODUCTS", 1)
    if level == "generic" or _here(level):
        monkeypatch.setenv(PROCESSOR, level)
        return
    library = arm.Emulated() if level == "neon" else wide.library()
    monkeypatch.setattr(native, "library", lambda: library)
    monkeypatch.setattr(native, "isa", lambda: "torch" if processor.level() == "generic" else level)


def form(level: str) -> str:
    """What `native.isa` says then."""
    return "torch" if level == "generic" else level
