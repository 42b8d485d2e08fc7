"""llama.cpp's Q4_0 product with repacked weights, as a peer in bench/int4.py, through ggml's own C interface.

`libggml-base.so` and `libggml-cpu.so` come from llama.cpp's `ggml` folder (also inside llama-cpp-python's source
package): cmake -B build -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=ON, then build.
"""

import ctypes
import mmap
from ctypes import c_bool, c_char_p, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path

import torch
from torch import Tensor

F32, Q4_0 = 0, 2
BLOCK = 32


_Log = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p)
_silent = _Log(lambda level, text, data: None)


class _Params(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("buffer", c_void_p), ("no_alloc", c_bool)]


SIGNATURES = {
    "base": {
        "ggml_log_set": (None, [_Log, c_void_p]),
        "ggml_init": (c_void_p, [_Params]),
        "ggml_free": (None, [c_void_p]),
        "ggml_new_tensor_2d": (c_void_p, [c_void_p, c_int, c_int64, c_int64]),
        "ggml_mul_mat": (c_void_p, [c_void_p, c_void_p, c_void_p]),
        "ggml_new_graph_custom": (c_void_p, [c_void_p, c_size_t, c_bool]),
        "ggml_build_forward_expand": (None, [c_void_p, c_void_p]),
        "ggml_backend_alloc_ctx_tensors_from_buft": (c_void_p, [c_void_p, c_void_p]),
        "ggml_backend_buffer_get_base": (c_void_p, [c_void_p]),
        "ggml_backend_buffer_get_size": (c_size_t, [c_void_p]),
        "ggml_backend_buffer_free": (None, [c_void_p]),
        "ggml_backend_tensor_set": (None, [c_void_p, c_void_p, c_size_t, c_size_t]),
        "ggml_backend_tensor_get": (None, [c_void_p, c_void_p, c_size_t, c_size_t]),
        "ggml_backend_graph_compute": (c_int, [c_void_p, c_void_p]),
        "ggml_backend_reg_dev_get": (c_void_p, [c_void_p, c_size_t]),
        "ggml_backend_reg_get_proc_address": (c_void_p, [c_void_p, c_char_p]),
        "ggml_backend_buft_name": (c_char_p, [c_void_p]),
        "ggml_backend_get_default_buffer_type": (c_void_p, [c_void_p]),
        "ggml_backend_free": (None, [c_void_p]),
    },
    "cpu": {
        "ggml_backend_cpu_init": (c_void_p, []),
        "ggml_backend_cpu_reg": (c_void_p, []),
        "ggml_backend_cpu_set_n_threads": (None, [c_void_p, c_int]),
    },
}


def _load(folder: Path) -> ctypes.CDLL:
    """Both libraries, as one object with typed functions."""
    base = ctypes.CDLL(str(folder / "libggml-base.so"), mode=ctypes.RTLD_GLOBAL)
    libraries = {"base": base, "cpu": ctypes.CDLL(str(folder / "libggml-cpu.so"))}
    for name, functions in SIGNATURES.items():
        for function, (result, arguments) in functions.items():
            typed = getattr(libraries[name], function)
            typed.restype, typed.argtypes = result, arguments
            setattr(base, function, typed)
    base.ggml_log_set(_silent, None)
    return base


def _blocks(w_NK: Tensor) -> tuple[bytes, Tensor]:
    """(Q4_0 blocks, the values they spell): per 32 weights a float16 scale and 16 bytes, element j beside j + 16."""
    groups_NGX = w_NK.unflatten(-1, (-1, BLOCK))
    scale_NG1 = (groups_NGX.abs().amax(-1, keepdim=True) / 7).half().float()
    codes_NGX = (groups_NGX / scale_NG1).round().clamp(-8, 7)
    unsigned = (codes_NGX + 8).to(torch.uint8)
    nibbles = unsigned[..., :16] | unsigned[..., 16:] << 4
    blocks = torch.cat((scale_NG1.half().view(torch.uint8), nibbles), dim=-1)
    return blocks.numpy().tobytes(), (codes_NGX * scale_NG1).flatten(-2)


class Q40:
    """`copies` of one matrix and one batch of activations; `run(i)` multiplies with copy i mod copies.

    Raises:
        OSError: the folder doesn't hold ggml's libraries.
        RuntimeError: this build has no repacked layout for this processor.
    """

    def __init__(self, folder: Path, w_NK: Tensor, x_TK: Tensor, copies: int, threads: int) -> None:
        lib = self.lib = _load(folder)
        (n, k), tokens = w_NK.shape, x_TK.shape[0]
        data, self.weight_NK = _blocks(w_NK)
        self.shape, self.copies = (tokens, n), copies
        self.backend = lib.ggml_backend_cpu_init()
        lib.ggml_backend_cpu_set_n_threads(self.backend, threads)
        self.contexts = [lib.ggml_init(_Params(2**20 + 2048 * copies, None, True)) for _ in range(2)]
        weights = [lib.ggml_new_tensor_2d(self.contexts[0], Q4_0, k, n) for _ in range(copies)]
        x = lib.ggml_new_tensor_2d(self.contexts[1], F32, k, tokens)
        self.graphs, self.outs = [], []
        for weight in weights:
            out = lib.ggml_mul_mat(self.contexts[1], weight, x)
            graph = lib.ggml_new_graph_custom(self.contexts[1], 8, False)
            lib.ggml_build_forward_expand(graph, out)
            self.graphs.append(graph)
            self.outs.append(out)
        plain = lib.ggml_backend_get_default_buffer_type(self.backend)
        self.buffers = [
            lib.ggml_backend_alloc_ctx_tensors_from_buft(context, buft)
            for context, buft in zip(self.contexts, (self._repack(), plain), strict=True)
        ]
        self._advise(self.buffers[0])
        for weight in weights:
            lib.ggml_backend_tensor_set(weight, data, 0, len(data))
        x_TK = x_TK.contiguous()
        lib.ggml_backend_tensor_set(x, x_TK.data_ptr(), 0, x_TK.nbytes)

    def _repack(self) -> int:
        reg = self.lib.ggml_backend_cpu_reg()
        address = self.lib.ggml_backend_reg_get_proc_address(reg, b"ggml_backend_dev_get_extra_bufts")
        extra = ctypes.CFUNCTYPE(ctypes.POINTER(c_void_p), c_void_p)(address)(self.lib.ggml_backend_reg_dev_get(reg, 0))
        for buft in iter(extra):
            if not buft:
                break
            if self.lib.ggml_backend_buft_name(buft) == b"CPU_REPACK":
                return int(buft)
        raise RuntimeError("this ggml has no CPU_REPACK buffers")

    def _advise(self, buffer: int) -> None:
        """Huge pages, as every other competitor has."""
        page = mmap.PAGESIZE
        start = -(-self.lib.ggml_backend_buffer_get_base(buffer) // page) * page
        size = self.lib.ggml_backend_buffer_get_size(buffer) // page * page - page
        ctypes.CDLL(None).madvise(c_void_p(start), c_size_t(size), mmap.MADV_HUGEPAGE)

    def run(self, index: int) -> None:
        if self.lib.ggml_backend_graph_compute(self.backend, self.graphs[index % self.copies]) != 0:
            raise RuntimeError("ggml_backend_graph_compute failed")

    def result(self) -> Tensor:
        """[T, N] of copy 0."""
        self.run(0)
        out_TN = torch.empty(self.shape)
        self.lib.ggml_backend_tensor_get(self.outs[0], out_TN.data_ptr(), 0, out_TN.nbytes)
        return out_TN

    def close(self) -> None:
        for buffer in self.buffers:
            self.lib.ggml_backend_buffer_free(buffer)
        for context in self.contexts:
            self.lib.ggml_free(context)
        self.lib.ggml_backend_free(self.backend)
