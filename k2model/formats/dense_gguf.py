"""Reads a dense network of the Llama and Qwen families and its tokenizer from a GGUF file."""

from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
import torch
from gguf import GGUFReader, ReaderTensor, TokenType
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split
from torch import Tensor

from k2model.errors import CheckpointError
from k2model.formats.dense import DenseConfig, DenseWeights

ARCHITECTURES = ("llama", "qwen2", "qwen3")
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = {  # llama.cpp's names of pre-tokenizers that split by one expression
    "qwen2": CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + REST,
    "llama-bpe": CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + REST,
}


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
    config: DenseConfig
    weights: DenseWeights
    tokenizer: Tokenizer
    control: tuple[int, ...]
    eos: int


def _open(path: Path) -> tuple[Reader, dict[str, Any], str]:
    """The file, its fields, and its architecture, which is a known one."""
    try:
        reader = Reader(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not a GGUF file: {error}") from None
    field = {name: value.contents() for name, value in reader.fields.items()}
    arch = field.get("general.architecture")
    if arch not in ARCHITECTURES:
        raise CheckpointError(f"{path}: architecture {arch!r}; {', '.join(ARCHITECTURES)} can be read")
    return reader, field, arch


def _vocabulary(field: dict[str, Any], path: Path) -> tuple[Tokenizer, tuple[int, ...]]:
    kinds = enumerate(field["tokenizer.ggml.token_type"])
    return _tokenizer(field, path), tuple(i for i, kind in kinds if kind == TokenType.CONTROL)


def load_gguf_vocabulary(path: Path) -> tuple[Tokenizer, tuple[int, ...]]:
    """The tokenizer alone, and the ids of its control tokens: no weights in memory.

    Raises:
        CheckpointError: see `load_gguf`.
    """
    _, field, _ = _open(path)
    try:
        return _vocabulary(field, path)
    except KeyError as error:
        raise CheckpointError(f"{path}: the field {error} is missing") from None


def load_gguf(path: Path, dtype: torch.dtype) -> Gguf:
    """Configuration, weights dequantized to `dtype`, and tokenizer.

    Raises:
        CheckpointError: the file is no GGUF file of such a network, or has a part that isn't known here.
    """
    reader, field, arch = _open(path)
    try:
        heads, hidden = field[f"{arch}.attention.head_count"], field[f"{arch}.embedding_length"]
        config = DenseConfig(
            layers=field[f"{arch}.block_count"],
            hidden=hidden,
            heads=heads,
            kv_heads=field.get(f"{arch}.attention.head_count_kv", heads),
            head_dim=field.get(f"{arch}.attention.key_length", hidden // heads),
            ffn=field[f"{arch}.feed_forward_length"],
            vocab=len(field["tokenizer.ggml.tokens"]),
            context=field[f"{arch}.context_length"],
            eps=field[f"{arch}.attention.layer_norm_rms_epsilon"],
            rope_base=field.get(f"{arch}.rope.freq_base", 10000.0),
        )
        tokenizer, control = _vocabulary(field, path)
        eos = field["tokenizer.ggml.eos_token_id"]
    except KeyError as error:
        raise CheckpointError(f"{path}: the field {error} is missing") from None
    tensors = {tensor.name: dequantized(tensor).to(dtype) for tensor in reader.tensors}
    if field.get(f"{arch}.rope.scaling.type", "none") != "none" or "rope_freqs.weight" in tensors:
        raise CheckpointError(f"{path}: scaled positions can't be read from GGUF; give the safetensors folder")
    try:
        weights = _weights(config, tensors, permuted=arch == "llama")
    except KeyError as error:
        raise CheckpointError(f"{path}: tensor {error} is missing") from None
    return Gguf(field.get("general.name", path.stem), config, weights, tokenizer, control, eos)


def _unpermute(weight: Tensor, heads: int) -> Tensor:
    """llama.cpp stores Llama's q and k for rotation of neighbouring pairs; back to pairs half a head apart."""
    return weight.view(heads, -1, 2, weight.shape[-1]).transpose(1, 2).reshape(weight.shape)


def _weights(c: DenseConfig, tensors: dict[str, Tensor], *, permuted: bool) -> DenseWeights:
    def read(layer: int, name: str) -> Tensor:
        tensor = tensors[f"blk.{layer}.{name}"]
        if permuted and name in ("attn_q.weight", "attn_k.weight"):
            return _unpermute(tensor, c.heads if name == "attn_q.weight" else c.kv_heads)
        return tensor

    def layers(*names: str) -> list[Tensor]:
        if f"blk.0.{names[0]}" not in tensors and names[0].endswith(("_norm.weight", ".bias")):
            return []
        return [torch.cat([read(layer, name) for name in names]) for layer in range(c.layers)]

    embed = tensors["token_embd.weight"]
    return DenseWeights(
        embed=embed,
        head=tensors.get("output.weight", embed),
        final_norm=tensors["output_norm.weight"],
        attn_norm=layers("attn_norm.weight"),
        qkv=layers("attn_q.weight", "attn_k.weight", "attn_v.weight"),
        out=layers("attn_output.weight"),
        ffn_norm=layers("ffn_norm.weight"),
        gate_up=layers("ffn_gate.weight", "ffn_up.weight"),
        down=layers("ffn_down.weight"),
        qkv_bias=layers("attn_q.bias", "attn_k.bias", "attn_v.bias"),
        q_norm=layers("attn_q_norm.weight"),
        k_norm=layers("attn_k_norm.weight"),
    )


def _tokenizer(field: dict[str, Any], path: Path) -> Tokenizer:
    """Byte-level BPE with the splitter that llama.cpp calls by the file's name for it.

    Names of control tokens in text are not parsed, so a document can't forge a turn.
    """
    model, name = field.get("tokenizer.ggml.model"), field.get("tokenizer.ggml.pre")
    if model != "gpt2" or name not in ("smollm", *PATTERNS):
        raise CheckpointError(
            f"{path}: tokenizer {model!r}/{name!r}; gpt2 with smollm or {', '.join(PATTERNS)} is known"
        )
    pieces: list[str] = field["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ", 1)) for merge in field["tokenizer.ggml.merges"]]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    for pair in merges:
        if len(pair) != 2 or not all(piece in vocabulary for piece in (*pair, "".join(pair))):
            raise CheckpointError(f"{path}: the merge {' '.join(pair)!r} is of tokens that the vocabulary has not")
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=merges, ignore_merges=name == "llama-bpe"))
    if name == "smollm":
        split = [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    else:
        split = [Split(Regex(PATTERNS[name]), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]
    tokenizer.pre_tokenizer = Sequence(split)
    tokenizer.decoder = ByteLevelDecoder()
    return tokenizer
