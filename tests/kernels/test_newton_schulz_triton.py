"""The symmetric product without a GPU: interpreted in float16 and float32, and compiled for sm_90 without spills.

Triton isn't a dependency of the CPU installation: `pip install --no-deps triton==3.9.0` adds it.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SHARED_OF_A_BLOCK = 227 * 1024  # sm_90
pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton isn't installed")


def _run(script: str, **env: str) -> str:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"} | env
    command = [sys.executable, str(HERE / script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_kernel_interpreted() -> None:
    assert _run("symmetric_interpreted.py", TRITON_INTERPRET="1").split()[-1] == "ok"


@pytest.mark.slow
def test_no_spills_on_sm_90(tmp_path: Path) -> None:
    found = json.loads(_run("symmetric_compiled.py", TRITON_CACHE_DIR=str(tmp_path)))
    assert set(found) == {f"{a} {b}" for a in ("aligned", "ragged") for b in ("sum", "product")}
    for name, one in found.items():
        assert one["spills"] == 0, name
        assert one["shared"] <= SHARED_OF_A_BLOCK, name
        assert one["tensor_cores"], name


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("shape", [(1, 512, 1408), (3, 300, 520), (2, 257, 600), (1, 1024, 1024)])
def test_on_a_gpu_against_the_reference(shape: tuple[int, int, int]) -> None:
    from kernels.newton_schulz import newton_schulz, newton_schulz_reference

    torch.manual_seed(0)
    m = torch.randn(shape)
    got, want = newton_schulz(m.cuda()).cpu().double(), newton_schulz_reference(m)
    # Square matrices have singular values near zero, where half precision's noise is all there is.
    assert (got - want).norm() < (0.1 if shape[1] == shape[2] else 0.05) * want.norm()
