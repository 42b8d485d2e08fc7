"""In which type a processor multiplies."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from kernels import processor
from kernels.newton_schulz import compute_dtype, newton_schulz
from kernels.processor import VARIABLE, fast_dtype, products_in


@pytest.fixture
def has(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What the processor says of itself; to be filled."""
    monkeypatch.delenv(VARIABLE, raising=False)
    capabilities: dict[str, Any] = {"avx512_f": True, "avx512_vnni": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    processor._has_bfloat16.cache_clear()
    yield capabilities
    processor._has_bfloat16.cache_clear()


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16"])
def test_bfloat16_where_there_are_instructions_for_it(has: dict[str, Any], instructions: str) -> None:
    has[instructions] = True
    assert fast_dtype() == products_in(torch.bfloat16) == torch.bfloat16
    assert compute_dtype(256, torch.device("cpu")) == torch.bfloat16


def test_float32_where_bfloat16_would_be_emulated(has: dict[str, Any]) -> None:
    assert fast_dtype() == products_in(torch.bfloat16) == torch.float32
    assert newton_schulz(torch.eye(128)).dtype == torch.float32


def test_other_types_stay(has: dict[str, Any]) -> None:
    has["avx512_bf16"] = True
    assert products_in(torch.float32) == torch.float32
    assert products_in(torch.float16) == torch.float16


def test_the_environment_decides(has: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "bfloat16")
    assert fast_dtype("cuda") == torch.bfloat16
    monkeypatch.setenv(VARIABLE, "int4")
    with pytest.raises(ValueError, match="K2_FAST_DTYPE: 'int4' is none of float32, bfloat16"):
        fast_dtype()
