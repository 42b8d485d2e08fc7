"""Dense networks are read as transformers reads them; what has no place in K2's layout is refused by name."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from k2model.errors import CheckpointError
from k2model.formats.dense import DenseModel
from k2model.formats.dense_folder import load_dense
from k2model.formats.dense_gguf import load_gguf, load_gguf_vocabulary

SIZES = {
    "vocab_size": 96, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "rope_theta": 5000.0,
}  # fmt: skip
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
NETWORKS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "llama tied": (LlamaConfig, LlamaForCausalLM, {"tie_word_embeddings": True}),
    "llama without groups": (LlamaConfig, LlamaForCausalLM, {"num_key_value_heads": 4}),
    "llama 3 positions": (LlamaConfig, LlamaForCausalLM, {"rope_scaling": LLAMA3 | {"rope_theta": 5000.0}}),
    "yarn": (LlamaConfig, LlamaForCausalLM, {"rope_scaling": YARN | {"rope_theta": 5000.0}}),
    "qwen2 with biases": (Qwen2Config, Qwen2ForCausalLM, {}),
    "qwen3 with norms of heads": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 24}),
}


def saved(folder: Path, name: str, **more: Any) -> Any:
    config, kind, changes = NETWORKS[name]
    torch.manual_seed(0)
    network = kind(config(**SIZES | changes | more)).eval()
    with torch.no_grad():
        for key, param in network.named_parameters():
            if key.endswith("bias") or "norm" in key:  # else biases are 0 and gains 1
                param += 0.3 * torch.randn_like(param)
            elif ".self_attn." in key:
                param *= 6  # scores that are not all alike
    network.save_pretrained(folder)
    return network


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    network = saved(tmp_path, name)
    tokens_BL = torch.randint(0, 96, (2, 40), generator=torch.Generator().manual_seed(1))
    own = DenseModel(*load_dense(tmp_path, torch.float32)).logits(tokens_BL)
    with torch.no_grad():
        wanted = network(tokens_BL).logits
    assert (own - wanted).abs().max() < 2e-4 * wanted.abs().max()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"model_type": "gemma2"}, "model_type: 'gemma2'; llama, mistral, qwen2, qwen3 are converted"),
        ({"hidden_act": "gelu"}, "hidden_act: 'gelu'"),
        ({"mlp_bias": True}, "mlp_bias: True"),
        ({"sliding_window": 64}, "sliding_window: 64"),
        ({"layer_types": ["sliding_attention", "full_attention"]}, "layer_types: "),
        ({"rope_scaling": "yarn"}, "rope_scaling: 'yarn' is no object"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "rope_scaling.factor: missing"),
        ({"rope_scaling": {"rope_type": "llama3"}}, "'factor' is missing"),
        ({"rope_scaling": {"rope_type": "longrope"}}, "rope_scaling: 'longrope'"),
        ({"num_hidden_layers": None}, "layers: None is no positive integer"),
        ({"head_dim": 20}, "tensor model.layers.0.self_attn.q_proj.weight is"),
    ],
)
def test_what_a_k2_network_has_not_is_refused_by_name(change: dict[str, Any], line: str, tmp_path: Path) -> None:
    saved(tmp_path, "llama")
    path = tmp_path / "config.json"
    config = json.loads(path.read_text()) | change
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as caught:
        load_dense(tmp_path, torch.float32)
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_a_bias_of_the_output_has_no_place(tmp_path: Path) -> None:
    saved(tmp_path, "llama", attention_bias=True)
    with pytest.raises(CheckpointError, match=r"o_proj\.bias: a K2 network has no such thing"):
        load_dense(tmp_path, torch.float32)


def write_gguf(path: Path, arch: str, network: Any, merge: str = "\u0102 \u0103") -> None:
    """What llama.cpp's converter writes: Llama's rows of q and k for neighbouring pairs, Qwen's as they are."""
    c = network.config
    writer = gguf.GGUFWriter(str(path), arch)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_embedding_length(c.hidden_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_rope_freq_base(5000.0)
    writer.add_key_length(getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    pieces = [chr(0x100 + number) for number in range(c.vocab_size - 1)]
    writer.add_token_list([*pieces, pieces[2] + pieces[3]])
    writer.add_token_types([gguf.TokenType.CONTROL if number < 2 else gguf.TokenType.NORMAL for number in range(96)])
    writer.add_token_merges([merge])
    writer.add_eos_token_id(1)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], c.num_hidden_layers)
    for key, param in network.state_dict().items():
        if key == "lm_head.weight" and c.tie_word_embeddings:
            continue
        value = param.float()
        if arch == "llama" and key.endswith(("q_proj.weight", "k_proj.weight")):
            heads = c.num_attention_heads if "q_proj" in key else c.num_key_value_heads
            value = value.view(heads, 2, -1, value.shape[-1]).transpose(1, 2).reshape(value.shape)
        writer.add_tensor(names.get_name(key, try_suffixes=(".weight", ".bias")), value.numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize(
    ("arch", "name"), [("llama", "llama tied"), ("qwen2", "qwen2 with biases"), ("qwen3", "qwen3 with norms of heads")]
)
def test_a_gguf_file_is_the_folder_that_it_was_made_of(arch: str, name: str, tmp_path: Path) -> None:
    network = saved(tmp_path / "folder", name)
    write_gguf(tmp_path / "model.gguf", arch, network)
    loaded = load_gguf(tmp_path / "model.gguf", torch.float32)
    tokens_BL = torch.randint(0, 96, (1, 30), generator=torch.Generator().manual_seed(2))
    from_folder = DenseModel(*load_dense(tmp_path / "folder", torch.float32)).logits(tokens_BL)
    assert torch.equal(DenseModel(loaded.config, loaded.weights).logits(tokens_BL), from_folder)
    assert loaded.control == (0, 1) and loaded.eos == 1
    alone, control = load_gguf_vocabulary(tmp_path / "model.gguf")
    assert (alone.to_str(), control) == (loaded.tokenizer.to_str(), loaded.control)


def test_a_merge_of_unknown_tokens_is_refused(tmp_path: Path) -> None:
    write_gguf(tmp_path / "model.gguf", "llama", saved(tmp_path / "folder", "llama"), merge="\u0102 \u0109")
    with pytest.raises(CheckpointError, match="the merge 'Ă ĉ' is of tokens that the vocabulary has not"):
        load_gguf(tmp_path / "model.gguf", torch.float32)
    with pytest.raises(CheckpointError, match="the merge 'Ă ĉ' is of tokens that the vocabulary has not"):
        load_gguf_vocabulary(tmp_path / "model.gguf")


def test_a_file_that_is_none_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(40))
    with pytest.raises(CheckpointError) as caught:
        load_gguf(path, torch.float32)
    assert "\n" not in str(caught.value)
