"""The kernels' library for a processor with AVX-512, on one without: SIMDe's functions in place of the compiler's.

Debian's package `libsimde-dev` is needed. This says whether the results are right, and nothing about speed; that the
compiler's own functions are called as they must be shows by the ordinary build.
"""

import ctypes
import functools
import platform
import re
import subprocess
import tempfile
from pathlib import Path

from kernels.int4 import native

INSTALLED = platform.machine() in ("x86_64", "AMD64") and Path("/usr/include/simde/x86/avx512.h").exists()


@functools.cache
def library() -> ctypes.CDLL:
    """The sources with every set of instructions but AVX2 taken out."""
    folder = Path(tempfile.mkdtemp(prefix="k2-wide-"))
    for path in (*native.SOURCES, *native.HEADERS):
        text = re.sub(r'target\("[^"]*"\)', 'target("avx2,fma")', path.read_text(encoding="utf-8"))
        text = re.sub(r'#include <immintrin.h>|asm\("".*?\);', "", text)
        (folder / path.name).write_text(text, encoding="utf-8")
    made, sources = folder / "wide.so", [str(folder / path.name) for path in native.SOURCES]
    flags = [*native.FLAGS, "-mavx2", "-mfma", "-include", str(Path(__file__).with_name("emulated.h"))]
    subprocess.run(["g++", *flags, "-o", str(made), *sources], check=True)
    return native.with_types(ctypes.CDLL(str(made)))
