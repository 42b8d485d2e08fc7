"""Run by test_newton_schulz_triton.py: compiles the kernel for sm_90 without a GPU, prints registers and spills."""

import itertools
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from kernels.newton_schulz_triton import BLOCK, DEPTH_ALIGNED, DEPTH_RAGGED, WARPS, symmetric_kernel

TYPES = dict.fromkeys(("left", "right", "add", "out"), "*bf16") | dict.fromkeys(("beta", "alpha"), "fp32")


def main() -> None:
    folder_of_tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    # The newer of Triton's two assemblers knows the version of PTX that it writes.
    ptxas = max(folder_of_tools.glob("ptxas*"), key=lambda path: path.name)
    names = symmetric_kernel.arg_names
    found = {}
    # Compiled as a call does it: with sizes and strides that are multiples of 16, and with any.
    for aligned, has_add in itertools.product((True, False), repeat=2):
        depth = DEPTH_ALIGNED if aligned else DEPTH_RAGGED
        constants = {"HAS_ADD": has_add, "BLOCK": BLOCK, "DEPTH": depth}
        signature = {name: "constexpr" if name in constants else TYPES.get(name, "i32") for name in names}
        multiples = [k for k, name in enumerate(names) if signature[name][0] in ("*i" if aligned else "*")]
        attributes = {(k,): [["tt.divisibility", 16]] for k in multiples}
        source = ASTSource(fn=symmetric_kernel, signature=signature, constexprs=constants, attrs=attributes)
        done = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": WARPS})
        with tempfile.TemporaryDirectory() as folder:
            ptx = Path(folder) / "kernel.ptx"
            ptx.write_text(done.asm["ptx"])
            command = [str(ptxas), "-v", "-arch=sm_90a", str(ptx), "-o", str(ptx.with_suffix(".cubin"))]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        found[f"{'aligned' if aligned else 'ragged'} {'sum' if has_add else 'product'}"] = {
            "registers": int(re.findall(r"Used (\d+) registers", said)[0]),
            "spills": sum(int(n) for n in re.findall(r"(\d+) bytes spill", said)),
            "shared": done.metadata.shared,
            "tensor_cores": "wgmma" in done.asm["ptx"],
        }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
