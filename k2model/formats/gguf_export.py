"""A model folder as one GGUF file for llama.cpp and what is built on it (Ollama, LM Studio).

The architecture is llama.cpp's `deepseek2`: keys and values stay in the latent (multi-query attention), so `kv_b_proj`
is written as `attn_k_b`, transposed, and `attn_v_b`; rotary pairs are neighbours on both sides.

Routed experts of an INT4 folder become Q4_0 blocks: a float16 scale and 32 codes, whose values are scale · (code − 8),
so that the folder's codes and scales stand there as they are, without a second rounding.

Axes: N outputs, K inputs, G = K / 32 groups.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType
from torch import Tensor

from k2model.chat.tokenizer import read_vocabulary
from k2model.config import K2Config
from k2model.errors import ConfigError, NotFiniteError
from k2model.files import write_atomic
from k2model.formats.checkpoint import load_checkpoint, load_config
from k2model.formats.gguf_vocabulary import Vocabulary, vocabulary
from k2model.formats.shards import read_json
from k2model.model import K2Model
from kernels.fake_quant import GROUP, dequantize, quantize

DTYPES = {
    "f32": (torch.float32, GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "f16": (torch.float16, GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "bf16": (torch.bfloat16, GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_BF16),
    "q4_0": (torch.bfloat16, GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_Q4_0),  # but for the routed experts
}
BLOCK_BYTES = 18  # of 32 weights in Q4_0
END_OF_TURN = "<|im_end|>"
LARGEST_EPS = 1e-4  # from here on it shows whether latents are normed by it or by DeepSeek's 1e-6
READ_BETAS = (32.0, 1.0)  # of YaRN, which llama.cpp's deepseek2 takes whatever a file says
# llama.cpp takes networks of so many layers (with 48: and so many tokens) for DeepSeek-V2-Lite and its kin, whose
# queries aren't compressed, and reads no q_lora_rank.
LITE_LAYERS, LITE_48_ROWS = (26, 27), 128256


@dataclass(frozen=True)
class Exported:
    """What an export wrote, and what a user should know about it, a line each."""

    tensors: int
    dtype: str
    splitter: str
    notes: tuple[str, ...]


@torch.no_grad()
def export_gguf(folder: Path, out: Path, *, dtype: str | None = None, tokenizer: Path | None = None) -> Exported:
    """Writes a checkpoint folder with its tokenizer, chat template and end tokens as `out`, whole or not at all.

    Args:
        dtype: of the matrices, one of `DTYPES`; that of the folder by default, q4_0 of an INT4 one: routed experts as
            Q4_0 blocks, the others bfloat16. Norms, routers and correction biases are float32.
        tokenizer: the folder of tokenizer and template where they don't stand beside the weights.

    Raises:
        CheckpointError: a folder that can't be read.
        ConfigError: a network or tokenizer that llama.cpp doesn't have; the message names the key.
        NotFiniteError: a weight beyond the range of `dtype`.
    """
    folder, tokenizer = Path(folder), Path(tokenizer or folder)
    config = load_config(folder)
    check_network(config)
    words = vocabulary(read_vocabulary(tokenizer), config.vocab_size)
    ends = end_tokens(folder, words)
    template = chat_template(tokenizer)
    notes: list[str] = []
    model = load_checkpoint(folder, say=notes.append)
    quantized = config.quantization_config is not None
    kind = dtype or ("q4_0" if quantized else _kind_of(model))
    if quantized and kind != "q4_0":
        notes.append("quantized weights are written as the numbers that they stand for")
    if words.normalized:
        notes.append(
            "llama.cpp doesn't bring text to NFC as this tokenizer does: text in another form gets other tokens"
        )
    if words.splitter == "kimi-k2":
        notes.append("llama.cpp cuts words with marks or inner capitals otherwise than Kimi: they get other tokens")
    if template is None:
        notes.append(f"{tokenizer}: no chat template: llama.cpp will use one of its own")
    yarn = config.rope_scaling
    if yarn is not None and yarn.factor > 1 and (yarn.beta_fast, yarn.beta_slow) != READ_BETAS:
        notes.append(
            "llama.cpp reads YaRN's ramp from its command line alone: start it with "
            f"--yarn-beta-fast {yarn.beta_fast:g} --yarn-beta-slow {yarn.beta_slow:g}"
        )
    with write_atomic(out) as temporary:
        writer = GGUFWriter(temporary, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.DEEPSEEK2])
        writer.add_name(folder.resolve().name)
        writer.add_file_type(DTYPES[kind][2])
        _write_network(writer, config)
        _write_vocabulary(writer, words, config, ends, template)
        count, changed = _write_tensors(writer, model, kind)
    if changed:
        why = "codes or scales that Q4_0 can't hold" if quantized else "the folder is not INT4: rounded to nearest"
        notes.append(f"routed experts changed by {changed:.1%} of their norm: {why}")
    return Exported(count, kind, words.splitter, tuple(notes))


def check_network(config: K2Config) -> None:
    """Raises ConfigError naming the key that llama.cpp's `deepseek2` has no place for."""
    if config.topk_method == "group_limited_greedy" and config.n_group > 1:
        raise ConfigError(f"topk_method: {config.topk_method!r}; llama.cpp scores a group by its two best experts")
    if config.n_shared_experts == 0:
        raise ConfigError("n_shared_experts: 0; llama.cpp's deepseek2 has at least one")
    lite = (config.num_hidden_layers, config.vocab_size) == (48, LITE_48_ROWS)
    if config.q_lora_rank is not None and (lite or config.num_hidden_layers in LITE_LAYERS):
        raise ConfigError(
            f"q_lora_rank: {config.q_lora_rank} with {config.num_hidden_layers} layers; llama.cpp reads none then"
        )
    if config.rms_norm_eps > LARGEST_EPS:
        raise ConfigError(f"rms_norm_eps: {config.rms_norm_eps:g}; llama.cpp norms latents by it too, not by 1e-6")
    yarn = config.rope_scaling
    if yarn is None:
        return
    if abs(yarn.rotary_scale - 1) > 1e-6:
        raise ConfigError(
            f"rope_scaling.mscale: scales positions by {yarn.rotary_scale:.4g}; llama.cpp's deepseek2 doesn't"
        )
    if not yarn.mscale_all_dim and yarn.factor > 1:
        raise ConfigError(
            "rope_scaling.mscale_all_dim: missing; llama.cpp's deepseek2 scales the softmax without it too"
        )
    if not yarn.truncate:
        raise ConfigError("rope_scaling.truncate: false; llama.cpp's ramp begins and ends at whole pairs")


def chat_template(folder: Path) -> str | None:
    """The chat template of a tokenizer's folder: `chat_template.jinja`, or what `tokenizer_config.json` says.

    Raises:
        ConfigError: a template that isn't UTF-8.
    """
    file = folder / "chat_template.jinja"
    if file.exists():
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{file}: not UTF-8: {error.reason} at byte {error.start}") from None
    described = folder / "tokenizer_config.json"
    template = read_json(described).get("chat_template") if described.exists() else None
    if isinstance(template, list):  # several by name, as transformers 4 wrote them
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None


def end_tokens(folder: Path, words: Vocabulary) -> list[int]:
    """The ids that end an answer: `<|im_end|>` first, then what `generation_config.json` or `config.json` says.

    Raises:
        ConfigError: a token that the vocabulary doesn't have, or none at all.
    """
    file = folder / "generation_config.json"
    if not file.exists():
        file = folder / "config.json"
    declared = read_json(file).get("eos_token_id")
    ends = declared if isinstance(declared, list) else [] if declared is None else [declared]
    for end in ends:
        if isinstance(end, bool) or not isinstance(end, int) or not 0 <= end < len(words.tokens):
            raise ConfigError(f"{file}: eos_token_id: {end!r:.80} is no token of the vocabulary")
    if END_OF_TURN in words.tokens:
        ends = [words.tokens.index(END_OF_TURN), *ends]
    if not ends:
        raise ConfigError(f"{file}: eos_token_id: missing; no token would end an answer")
    return list(dict.fromkeys(ends))


def _write_network(writer: GGUFWriter, config: K2Config) -> None:
    c, yarn = config, config.rope_scaling
    writer.add_block_count(c.num_hidden_layers)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_vocab_size(c.vocab_size)
    writer.add_embedding_length(c.hidden_size)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(1)
    writer.add_q_lora_rank(c.q_lora_rank or 0)  # must be there; 0 is a query without compression
    writer.add_kv_lora_rank(c.kv_lora_rank)
    writer.add_key_length(c.kv_lora_rank + c.qk_rope_head_dim)
    writer.add_value_length(c.kv_lora_rank)
    writer.add_key_length_mla(c.qk_head_dim)
    writer.add_value_length_mla(c.v_head_dim)
    writer.add_rope_dimension_count(c.qk_rope_head_dim)
    writer.add_rope_freq_base(c.rope_theta)
    if yarn is not None:
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(yarn.factor)
        writer.add_rope_scaling_orig_ctx_len(yarn.original_max_position_embeddings)
        writer.add_rope_scaling_yarn_beta_fast(yarn.beta_fast)
        writer.add_rope_scaling_yarn_beta_slow(yarn.beta_slow)
        writer.add_rope_scaling_yarn_log_mul(0.1 * (yarn.mscale_all_dim or 0))  # llama.cpp divides by 0.1 again
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_leading_dense_block_count(c.first_k_dense_replace)
    writer.add_expert_feed_forward_length(c.moe_intermediate_size)
    writer.add_expert_count(c.n_routed_experts)
    writer.add_expert_used_count(c.num_experts_per_tok)
    writer.add_expert_shared_count(c.n_shared_experts)
    if c.n_group > 1:
        writer.add_expert_group_count(c.n_group)
        writer.add_expert_group_used_count(c.topk_group)
    assert c.routed_scaling_factor is not None
    writer.add_expert_weights_scale(c.routed_scaling_factor)
    writer.add_expert_weights_norm(c.norm_topk_prob)
    writer.add_expert_gating_func(gguf.ExpertGatingFuncType[c.scoring_func.upper()])


def _write_vocabulary(
    writer: GGUFWriter, words: Vocabulary, config: K2Config, ends: list[int], template: str | None
) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(words.splitter)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.kinds)
    writer.add_token_merges(words.merges)
    if config.bos_token_id is not None:
        writer.add_bos_token_id(config.bos_token_id)
    if config.pad_token_id is not None:
        writer.add_pad_token_id(config.pad_token_id)
    writer.add_add_bos_token(False)
    # These three end an answer, and what llama.cpp knows by its name ([EOS], [EOT] and others).
    writer.add_eos_token_id(ends[0])
    writer.add_eot_token_id(ends[0])
    if len(ends) > 1:
        writer.add_eom_token_id(ends[1])
    if template is not None:
        writer.add_chat_template(template)


def _kind_of(model: K2Model) -> str:
    dtype = model.lm_head.weight.dtype
    return next(name for name, (torch_type, _, _) in DTYPES.items() if torch_type == dtype)


def _tensors(model: K2Model) -> Iterator[tuple[str, Tensor]]:
    """(name as llama.cpp has it, tensor): experts stacked, `kv_b_proj` in two."""
    c = model.config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.DEEPSEEK2, c.num_hidden_layers)

    def name(ours: str) -> str:
        theirs = names.get_name(ours, try_suffixes=(".weight", ".bias"))
        assert theirs is not None, ours
        return theirs

    for ours, tensor in model.state_dict().items():
        if ours.endswith("kv_b_proj.weight"):
            heads_HXK = tensor.unflatten(0, (c.num_attention_heads, -1))
            key_HNK, value_HVK = heads_HXK.split([c.qk_nope_head_dim, c.v_head_dim], dim=1)
            yield name(ours.replace("kv_b_proj", "k_b_proj")), key_HNK.transpose(1, 2)
            yield name(ours.replace("kv_b_proj", "v_b_proj")), value_HVK
        elif ours.endswith("e_score_correction_bias"):
            yield name(ours.replace("correction_bias", "correction.bias")), tensor
        else:
            yield name(ours if ours.endswith(".weight") else f"{ours}.weight"), tensor


def blocks_of(weight_NK: Tensor) -> tuple[Tensor, Tensor]:
    """Q4_0 blocks, uint8 [..., N, G, 18], and the weights that they stand for.

    Raises:
        NotFiniteError: a group beyond the range of float16.
    """
    codes_NK, scale_NG = quantize(weight_NK)
    half_NG = scale_NG.to(torch.float16)
    if not bool(half_NG.isfinite().all()):
        raise NotFiniteError("routed experts hold values beyond the range of q4_0")
    places_NGX = (codes_NK + 8).to(torch.uint8).unflatten(-1, (-1, GROUP))
    first_NGX, second_NGX = places_NGX.chunk(2, dim=-1)
    scales_NGX = half_NG[..., None].contiguous().view(torch.uint8)
    return torch.cat((scales_NGX, first_NGX | second_NGX << 4), dim=-1), dequantize(codes_NK, half_NG)


def _write_tensors(writer: GGUFWriter, model: K2Model, kind: str) -> tuple[int, float]:
    """Writes a header that names all tensors, then one after the other; how many, and what Q4_0 changed.

    The latter is the norm of the change of the routed experts over their norm.
    """
    exact = DTYPES["f32"]
    stored = {}
    for name, tensor in _tensors(model):
        if kind == "q4_0" and name.endswith("_exps.weight"):
            nbytes = tensor.numel() // GROUP * BLOCK_BYTES
            writer.add_tensor_info(
                name, tuple(tensor.shape), np.dtype(np.int16), nbytes, raw_dtype=GGMLQuantizationType.Q4_0
            )
            continue
        # llama.cpp adds and routes in float32.
        stored[name] = torch_type, ggml_type, _ = exact if tensor.dim() == 1 or "ffn_gate_inp" in name else DTYPES[kind]
        nbytes = tensor.numel() * torch_type.itemsize
        writer.add_tensor_info(name, tuple(tensor.shape), np.dtype(np.int16), nbytes, raw_dtype=ggml_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    count, change, total = 0, 0.0, 0.0
    for name, tensor in _tensors(model):
        count += 1
        if name not in stored:
            data, stands_for = blocks_of(tensor)
            change += float((stands_for.float() - tensor.float()).square().sum())
            total += float(tensor.float().square().sum())
            writer.write_tensor_data(data.numpy())
            continue
        data = tensor.to(stored[name][0]).contiguous()
        if not bool(data.isfinite().all()):
            raise NotFiniteError(f"tensor {name} holds values beyond the range of {kind}")
        writer.write_tensor_data(data.view(torch.uint8).numpy())
    writer.close()
    return count, (change / total) ** 0.5 if total else 0.0
