"""The kernels' library built for ARM and run by an emulator: the same calls, on the memory of this process's tensors.

Debian's packages `g++-aarch64-linux-gnu` and `qemu-user` are needed. Every call starts the emulator anew, so this says
whether the results are right, and nothing about speed.
"""

import functools
import gc
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from kernels.int4 import native

COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
INSTALLED = all(map(shutil.which, (COMPILER, EMULATOR)))
POINTERS = {"k2_fake_quant": 4, "k2_linear": 4, "k2_experts": 10, "k2_few_linear": 4, "k2_few_experts": 7}
POINTERS |= {"k2_decode_attention": 10, "k2_rms_norm": 3, "k2_choose": 4}


@functools.cache
def _program() -> Path:
    """Driver and library in one."""
    folder = Path(tempfile.mkdtemp(prefix="k2-arm-"))
    driver = Path(__file__).with_name("arm_driver.cpp")
    flags = [flag for flag in (*native.FLAGS, *native.ARM_FLAGS) if flag not in ("-shared", "-fPIC")]
    command = [COMPILER, *flags, "-rdynamic", "-o", str(folder / "driver"), str(driver), *map(str, native.SOURCES)]
    subprocess.run(command, check=True)
    return folder / "driver"


def _holder(pointer: int) -> torch.Tensor:
    """The memory, as bytes, of a tensor that the pointer lies in."""
    for found in gc.get_objects():
        if type(found) in (torch.Tensor, torch.nn.Parameter) and found.device.type == "cpu":
            storage = found.untyped_storage()
            if storage.data_ptr() <= pointer < storage.data_ptr() + max(1, storage.nbytes()):
                return torch.empty(0, dtype=torch.uint8).set_(storage)
    raise AssertionError(f"no tensor at {pointer:#x}")


class Emulated:
    """Stands in for the loaded library."""

    def __getattr__(self, name: str) -> Callable[..., int]:
        return functools.partial(self._call, name)

    @staticmethod
    def _call(name: str, *arguments: float | None) -> int:
        lines, held = [name], []
        for place, value in enumerate(arguments):
            if place >= POINTERS[name] or value is None:
                lines.append(f"f {value.hex()}" if isinstance(value, float) else f"i {int(value or 0)}")
                continue
            assert isinstance(value, int)
            held.append(_holder(value))
            lines.append(f"p {held[-1].numel()} {value - held[-1].data_ptr()}")
        with tempfile.TemporaryDirectory() as folder:
            script, buffers = Path(folder, "script"), Path(folder, "buffers")
            script.write_text("\n".join(lines))
            buffers.write_bytes(b"".join(memory.numpy().tobytes() for memory in held))
            command = [EMULATOR, "-L", "/usr/aarch64-linux-gnu", str(_program()), str(script), str(buffers)]
            result = subprocess.run(command, capture_output=True, text=True, check=True)
            after = torch.frombuffer(bytearray(buffers.read_bytes()), dtype=torch.uint8)
        start = 0
        for memory in held:
            new = after[start : start + memory.numel()]
            changed = new != memory
            memory[changed] = new[changed]  # a buffer that stands twice keeps what either argument wrote
            start += memory.numel()
        return int(result.stdout)
