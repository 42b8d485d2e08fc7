"""The build: cached by its source, a clear line and the torch form where there is no compiler."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from kernels.fake_quant import quantize
from kernels.int4 import native
from kernels.int4.mlp import Bf16Weight, linear
from kernels.int4.native import BuildError


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and no library loaded."""
    monkeypatch.setenv("K2_KERNEL_CACHE", str(tmp_path / "cache"))
    native.library.cache_clear()
    yield tmp_path / "cache"
    native.library.cache_clear()


def test_it_is_built_once(fresh: Path) -> None:
    first = native.build()
    stamp = first.stat().st_mtime_ns
    assert native.build() == first
    assert first.stat().st_mtime_ns == stamp
    assert list(fresh.iterdir()) == [first]
    assert native.library() is not None


def test_no_compiler(fresh: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("PATH", str(fresh))
    monkeypatch.delenv("CXX", raising=False)
    with caplog.at_level(logging.WARNING):
        assert native.isa() == "torch"
        assert native.isa() == "torch"
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["INT4 kernels: no C++ compiler (g++ or clang++) was found; using the slower torch form"]
    w = torch.randn(1, 16, 32).bfloat16()
    x = torch.randn(3, 32).bfloat16()
    torch.testing.assert_close(linear(x, Bf16Weight.from_rows(w)), x.float() @ w[0].float().T)
    quantize(w)


def test_a_compiler_that_fails(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = fresh.parent / "broken"
    fake.write_text("#!/bin/sh\necho 'int4.cpp:1: error: unknown flag' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("CXX", str(fake))
    with pytest.raises(BuildError, match=r"broken failed: int4.cpp:1: error: unknown flag"):
        native.build()
    assert list(fresh.iterdir()) == []


def test_another_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(BuildError, match="64-bit ARM, this is riscv64"):
        native.build()
