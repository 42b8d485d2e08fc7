"""Run by test_triton.py: compiles the kernels for sm_90 without a GPU and prints registers and spills as JSON."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from kernels.int4.triton_experts import BLOCK_N, WARPS, down_kernel, gate_up_kernel

POINTERS = {
    "x": "*bf16", "h": "*bf16", "y": "*fp32", "token": "*i64", "choice": "*i64",
    "gate_words": "*i32", "up_words": "*i32", "down_words": "*i32",
    "gate_scale": "*bf16", "up_scale": "*bf16", "down_scale": "*bf16",
    "tile_expert": "*i32", "tile_first": "*i32", "tile_last": "*i32", "width": "i32", "inner": "i32",
}  # fmt: skip


def main() -> None:
    folder_of_tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    # The newer of Triton's two assemblers knows the version of PTX that it writes.
    ptxas = max(folder_of_tools.glob("ptxas*"), key=lambda path: path.name)
    found = {}
    for kernel in (gate_up_kernel, down_kernel):
        for block, warps in WARPS.items():
            constants = {"BLOCK_M": block, "BLOCK_N": BLOCK_N, "GROUP": 32, "ROWS": 16, "DTYPE": tl.bfloat16}
            signature = {name: POINTERS.get(name, "constexpr") for name in kernel.arg_names}
            source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
            done = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps})
            with tempfile.TemporaryDirectory() as folder:
                ptx = Path(folder) / "kernel.ptx"
                ptx.write_text(done.asm["ptx"])
                command = [str(ptxas), "-v", "-arch=sm_90a", str(ptx), "-o", str(ptx.with_suffix(".cubin"))]
                said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
            spills = [int(n) for n in re.findall(r"(\d+) bytes spill", said)]
            registers = int(re.findall(r"Used (\d+) registers", said)[0])
            found[f"{kernel.__name__} {block}x{BLOCK_N}"] = {"registers": registers, "spills": sum(spills)}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
