"""The levels of this processor under which a kernel has a form of its own; each is tried by forcing it."""

from kernels.processor import ORDER, best

LEVELS = [name for name in ("avx512_bf16", "avx512", "avx2", "generic") if ORDER.index(name) <= ORDER.index(best())]
