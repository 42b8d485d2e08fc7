"""The levels of this processor under which a kernel has a form of its own; each is tried by forcing it.

`neon` is ARM's, tried by an emulator where one is installed (`pytest -m drivers tests/kernels`).
"""

import pytest

from kernels import processor
from kernels.int4 import native
from kernels.processor import ORDER, PROCESSOR, best
from tests.kernels import arm

emulated = [pytest.mark.drivers, pytest.mark.skipif(not arm.INSTALLED, reason=f"no {arm.COMPILER} or {arm.EMULATOR}")]
X86 = ("avx512_bf16", "avx512", "avx2")
FORMS = [
    *(name for name in X86 if name in ORDER and ORDER.index(name) <= ORDER.index(best())),
    "neon" if best() == "neon" else pytest.param("neon", marks=emulated),
]  # without the plain one
LEVELS = [*FORMS, "generic"]


# The forms of the INT4 products and of what decodes beside them.
PRODUCTS = {"avx512_bf16": "avx512", "avx512": "avx2", "avx2": "avx2", "neon": "neon", "generic": "torch"}
VECTORS = {**PRODUCTS, "avx512": "avx512"}


def force(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """This level from now on; threads share even small work, so that the split is part of the test."""
    monkeypatch.setattr(native, "PRODUCTS", 1)
    if level == "neon" != best():
        library = arm.Emulated()
        monkeypatch.setattr(native, "library", lambda: library)
        for name in ("isa", "vector_isa"):
            monkeypatch.setattr(native, name, lambda: "torch" if processor.level() == "generic" else "neon")
        return
    monkeypatch.setenv(PROCESSOR, level)
