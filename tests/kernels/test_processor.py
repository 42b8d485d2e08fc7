"""Which level a processor has, and in which type it multiplies."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from kernels import processor
from kernels.errors import ConfigError
from kernels.forms import forms
from kernels.int4 import native
from kernels.newton_schulz import compute_dtype, newton_schulz
from kernels.processor import LEVELS, ORDER, PROCESSOR, VARIABLE, at_least, best, fast_dtype, level, products_in


def _forget() -> None:
    processor._best.cache_clear()
    processor._level.cache_clear()


@pytest.fixture
def has(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What the processor says of itself: AVX-512 with VNNI; to be changed."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(PROCESSOR, raising=False)
    capabilities: dict[str, Any] = {name: True for known in ORDER[:4] for name in LEVELS[known]}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    _forget()
    yield capabilities
    monkeypatch.undo()
    _forget()


def test_the_level_is_the_highest_without_a_gap(has: dict[str, Any]) -> None:
    assert level() == best() == "avx512_vnni"
    assert at_least("avx2") and at_least("avx512_vnni") and not at_least("avx512_bf16")
    has |= {"amx_tile": True, "amx_bf16": True}
    _forget()
    assert best() == "avx512_vnni", "AMX without AVX-512 BF16 is no level"
    has["avx512_bf16"] = True
    _forget()
    assert best() == "amx"
    has["fma3"] = False
    _forget()
    assert best() == "generic"


def test_a_lower_level_can_be_forced_and_no_higher_one(has: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROCESSOR, "avx2")
    assert (level(), best()) == ("avx2", "avx512_vnni")
    monkeypatch.setenv(PROCESSOR, "amx")
    with pytest.raises(ConfigError, match="K2_PROCESSOR: 'amx' is more than this processor's avx512_vnni"):
        level()
    monkeypatch.setenv(PROCESSOR, "sse9")
    with pytest.raises(ConfigError, match="K2_PROCESSOR: 'sse9' is none of generic, avx2, avx512, "):
        level()


@pytest.mark.parametrize(
    ("name", "sixteen", "eight", "steps", "products"),
    [
        ("generic", "torch", "torch", "torch", "float32"),
        ("avx2", "avx2", "avx2", "avx2", "float32"),
        ("avx512", "avx512", "avx2", "avx512", "float32"),
        ("avx512_vnni", "avx512", "avx512_vnni", "avx512", "float32"),
        ("avx512_bf16", "avx512_bf16", "avx512_vnni", "avx512", "bfloat16"),
    ],
)
def test_each_hot_loop_says_which_form_it_runs_and_why(
    has: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str, sixteen: str, eight: str, steps: str, products: str
) -> None:
    if native.library() is None:
        pytest.skip("no compiler")
    has["avx512_bf16"] = True
    monkeypatch.setenv(PROCESSOR, name)
    found = {form.loop: form for form in forms()}
    assert found["INT4, 16-bit activations"].form == sixteen
    assert found["INT4, 8-bit activations"].form == eight
    assert found["INT4 rounding"].form == found["decoding steps"].form == steps
    assert found["matrix products"].form == products
    assert ("K2_PROCESSOR" in found["decoding steps"].why) == (name != "avx512_bf16")


def test_bfloat16_where_there_are_instructions_for_it(has: dict[str, Any]) -> None:
    has["avx512_bf16"] = True
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
