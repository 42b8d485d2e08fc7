"""The GPU kernel without a GPU: interpreted in float16 and float32, and compiled for sm_90 without spills.

The interpreter's bfloat16 dot is wrong (the codes are exact in float16 too); on a GPU the kernel runs in bfloat16.
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
ROOT = HERE.parents[2]
pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton isn't installed")


def _run(script: str, **env: str) -> str:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"} | env
    command = [sys.executable, str(HERE / script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_kernels_interpreted() -> None:
    assert _run("triton_interpreted.py", TRITON_INTERPRET="1").split()[-1] == "ok"


@pytest.mark.slow
def test_no_spills_on_sm_90(tmp_path: Path) -> None:
    found = json.loads(_run("triton_compiled.py", TRITON_CACHE_DIR=str(tmp_path)))
    assert len(found) == 6
    assert {name: one["spills"] for name, one in found.items()} == dict.fromkeys(found, 0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_against_the_plain_form() -> None:
    from kernels.int4.mlp import Int4Weight, expert_mlp, expert_mlp_reference

    def weight(n: int, k: int) -> Int4Weight:
        words = torch.randint(-(2**31), 2**31, (8, n // 16, k // 8, 16), dtype=torch.int64).to(torch.int32)
        return Int4Weight(words.cuda(), torch.rand(8, n // 16, k // 32, 16).bfloat16().cuda() * 0.01)

    gate, up, down = weight(256, 512), weight(256, 512), weight(512, 256)
    for tokens in (1, 16, 300):
        x_TC = torch.randn(tokens, 512, device="cuda").bfloat16()
        expert_TK = torch.rand(tokens, 8, device="cuda").topk(3).indices
        weight_TK = torch.rand(tokens, 3, device="cuda")
        found = expert_mlp(x_TC, expert_TK, weight_TK, gate, up, down).float()
        wanted = expert_mlp_reference(x_TC, expert_TK, weight_TK, gate, up, down).float()
        assert float((found - wanted).norm() / wanted.norm()) < 2e-2
