"""The C++ library: built by this machine's compiler at first use, cached by what it was built from, called by ctypes.

Without a compiler, or on a processor that has neither AVX2 nor NEON with dot products, there is no library: one warning
says why, and the callers use their plain torch form.
"""

import ctypes
import functools
import hashlib
import logging
import math
import mmap
import os
import platform
import shutil
import subprocess
from pathlib import Path

import torch

from kernels.processor import ARM, level

SOURCES = tuple(sorted(Path(__file__).parent.glob("*.cpp")))
HEADERS = tuple(sorted(Path(__file__).parent.glob("*.h")))
FLAGS = ("-O3", "-std=c++17", "-shared", "-fPIC", "-fopenmp", "-w")
ARM_FLAGS = ("-march=armv8.2-a+dotprod",)
# As the library counts the levels of kernels/processor.py; it has no form for more than the last.
LEVEL = {"avx2": 1, "neon": 1, "avx512": 2, "avx512_vnni": 3, "avx512_bf16": 4, "amx": 4}
BUILD_TIMEOUT_S = 300

log = logging.getLogger(__name__)


class BuildError(RuntimeError):
    """The library can't be built on this machine; the message says why."""


def _cache() -> Path:
    root = os.environ.get("K2_KERNEL_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return Path(root) if root else Path.home() / ".cache" / "k2-pipeline"


def _compiler() -> str:
    for name in (os.environ.get("CXX"), "g++", "c++", "clang++"):
        if name and (compiler := shutil.which(name)):
            return compiler
    raise BuildError("no C++ compiler (g++ or clang++) was found")


def build() -> Path:
    """The path of the shared library, compiled now unless this source, compiler and processor type were seen before.

    Raises:
        BuildError: a processor that is neither x86-64 nor a 64-bit ARM, no compiler, or it fails.
    """
    if not ARM and platform.machine() not in ("x86_64", "AMD64"):
        raise BuildError(f"the kernels are for x86-64 and 64-bit ARM, this is {platform.machine()}")
    flags = (*FLAGS, *ARM_FLAGS) if ARM else FLAGS
    compiler = _compiler()
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout
    identity = "\0".join([*(source.read_text() for source in (*SOURCES, *HEADERS)), version, *flags])
    path = _cache() / f"int4-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.so"
    if path.exists():
        return path
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        command = [compiler, *flags, "-o", str(partial), *map(str, SOURCES)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{compiler}: {error}") from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise BuildError(f"{compiler} failed: {lines[0] if lines else f'status {done.returncode}'}")
    partial.replace(path)
    return path


@functools.cache
def library() -> ctypes.CDLL | None:
    """The loaded library; None, after one warning, when it can't be built or loaded."""
    try:
        # torch has loaded its OpenMP runtime, so the library shares that pool and its thread count.
        loaded = ctypes.CDLL(str(build()))
    except (BuildError, OSError) as error:
        log.warning("INT4 kernels: %s; using the slower torch form", error)
        return None
    return with_types(loaded)


def with_types(loaded: ctypes.CDLL) -> ctypes.CDLL:
    """The library, with what its functions take and return."""
    p, n, i, f = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_float
    loaded.k2_fake_quant.argtypes = [p, p, p, p, n, i, i, i]
    loaded.k2_linear.argtypes = [p, p, p, p, n, n, n, i, i, i]
    loaded.k2_experts.argtypes = [p] * 10 + [n] * 5 + [i, i, i]
    loaded.k2_decode_attention.argtypes = [p] * 10 + [n] * 8 + [f] * 2 + [i] * 3
    loaded.k2_rms_norm.argtypes = [p, p, p, n, n, f, i, i]
    loaded.k2_choose.argtypes = [p, p, p, p, n, n, n, i, f]
    loaded.k2_few_linear.argtypes = [p, p, p, p, n, n, n, i, i, i]
    loaded.k2_few_experts.argtypes = [p] * 7 + [n] * 5 + [i, i, i]
    for name in ("fake_quant", "linear", "experts", "rms_norm", "choose", "few_linear"):
        loaded[f"k2_{name}"].restype = None
    return loaded


def isa() -> str:
    """The level of the processor that the library's forms are for; `torch` where there is no library for it."""
    return "torch" if library() is None or level() == "generic" else level()


HUGE_PAGE = 2**21
PRODUCTS = 2**16  # that pay for a thread


def huge_pages(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """An uninitialised CPU tensor in memory that asks for huge pages, where Linux offers them.

    A decoding step walks through hundreds of megabytes once; with pages of 4 KB the address look-ups cost a quarter.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < 2 * HUGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(shape, dtype=dtype)
    memory = mmap.mmap(-1, size + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # shared memory has none
    memory.madvise(mmap.MADV_HUGEPAGE)
    whole = torch.frombuffer(memory, dtype=torch.uint8)
    start = -whole.data_ptr() % HUGE_PAGE
    return whole[start : start + size].view(dtype).view(shape)


def threads(products: int) -> int:
    """How many of torch's threads share so many multiplications: each costs microseconds, more on a busy core."""
    return min(torch.get_num_threads(), max(1, products // PRODUCTS))
