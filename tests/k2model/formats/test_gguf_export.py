"""What stands in an exported file, read back by llama.cpp's own reader; `test_engines.py` runs it."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32
from gguf import GGUFReader, TokenType
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import NFC, Lowercase
from tokenizers.pre_tokenizers import ByteLevel, Digits, Metaspace, Punctuation, Sequence, Split, Whitespace
from torch import Tensor

from flows.cli import COMMANDS
from k2model.chat.tokenizer import MARKERS, SPECIAL, save_tokenizer
from k2model.config import K2Config, YarnConfig
from k2model.errors import ConfigError, NotFiniteError
from k2model.formats.checkpoint import load_checkpoint, save_checkpoint
from k2model.formats.export import main
from k2model.formats.gguf_export import chat_template, check_network, export_gguf
from k2model.formats.gguf_vocabulary import splitter, vocabulary
from k2model.formats.int4_checkpoint import save_int4_checkpoint
from k2model.model import K2Model
from tests.k2model.formats.vocabularies import small_vocabulary

TEMPLATE = "{{ messages }}"
ROWS = 512  # of the embedding: more than the tokenizer has


def _config(**changes: Any) -> K2Config:
    yarn = YarnConfig(factor=4.0, original_max_position_embeddings=128)
    sizes = {"vocab_size": ROWS, "rope_scaling": yarn, "eos_token_id": 461, "max_position_embeddings": 512}
    return K2Config.preset("smoke", **sizes | changes)


def _save(path: Path, *, dtype: torch.dtype | None = torch.bfloat16, **changes: Any) -> Path:
    model = K2Model(_config(**changes), seed=1)
    with torch.no_grad():
        for gate in model.gates():
            if gate.e_score_correction_bias is not None:
                gate.e_score_correction_bias.copy_(torch.linspace(-0.1, 0.1, gate.config.n_routed_experts))
    save_int4_checkpoint(model, path) if dtype is None else save_checkpoint(model, path, dtype=dtype)
    (path / "manifest.json").unlink()
    return path


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    return small_vocabulary("smollm")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, words: Tokenizer) -> Path:
    path = _save(tmp_path_factory.mktemp("gguf") / "model")
    save_tokenizer(words, path, chat_template=TEMPLATE, max_length=512)
    return path


def _fields(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in GGUFReader(path).fields.items()}


def _weights(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    return {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in GGUFReader(path).tensors}


def _expected(model: K2Model) -> dict[str, Tensor]:
    """llama.cpp's name and values of every tensor, written out by hand."""
    wanted = {
        "token_embd.weight": model.model.embed_tokens.weight,
        "output_norm.weight": model.model.norm.weight,
        "output.weight": model.lm_head.weight,
    }
    c = model.config
    for index, layer in enumerate(model.model.layers):
        attention, mlp = layer.self_attn, layer.mlp
        kv_b = attention.kv_b_proj.weight.view(c.num_attention_heads, c.qk_nope_head_dim + c.v_head_dim, c.kv_lora_rank)
        named = {
            "attn_norm.weight": layer.input_layernorm.weight,
            "attn_q_a.weight": attention.q_a_proj.weight,
            "attn_q_a_norm.weight": attention.q_a_layernorm.weight,
            "attn_q_b.weight": attention.q_b_proj.weight,
            "attn_kv_a_mqa.weight": attention.kv_a_proj_with_mqa.weight,
            "attn_kv_a_norm.weight": attention.kv_a_layernorm.weight,
            "attn_k_b.weight": kv_b[:, : c.qk_nope_head_dim].transpose(1, 2),
            "attn_v_b.weight": kv_b[:, c.qk_nope_head_dim :],
            "attn_output.weight": attention.o_proj.weight,
            "ffn_norm.weight": layer.post_attention_layernorm.weight,
        }
        if index < c.first_k_dense_replace:
            named |= {f"ffn_{part}.weight": getattr(mlp, f"{part}_proj").weight for part in ("gate", "up", "down")}
        else:
            named["ffn_gate_inp.weight"] = mlp.gate.weight
            named["exp_probs_b.bias"] = mlp.gate.e_score_correction_bias
            for part in ("gate", "up", "down"):
                named[f"ffn_{part}_exps.weight"] = getattr(mlp.experts, f"{part}_proj")
                named[f"ffn_{part}_shexp.weight"] = getattr(mlp.shared_experts, f"{part}_proj").weight
        wanted |= {f"blk.{index}.{name}": tensor for name, tensor in named.items()}
    return wanted


def _same_weights(path: Path, model: K2Model) -> None:
    read, wanted = _weights(path), _expected(model)
    assert read.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(torch.tensor(read[name]), tensor.detach().float()), name


def test_the_file_holds_every_weight_of_the_folder(folder: Path, tmp_path: Path) -> None:
    done = export_gguf(folder, tmp_path / "out.gguf")
    assert done.dtype == "bf16"
    (note,) = done.notes
    assert note.endswith("start it with --yarn-beta-fast 1 --yarn-beta-slow 1")
    _same_weights(tmp_path / "out.gguf", load_checkpoint(folder))
    kinds = {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(tmp_path / "out.gguf").tensors}
    exact = ("_norm.weight", "ffn_gate_inp.weight", ".bias")  # what llama.cpp adds or routes by
    assert {name for name, kind in kinds.items() if kind == "F32"} == {name for name in kinds if name.endswith(exact)}
    assert set(kinds.values()) == {"F32", "BF16"}


def test_queries_without_compression_and_no_dense_layer(words: Tokenizer, tmp_path: Path) -> None:
    for name, changes in {"plain": {"q_lora_rank": None}, "sparse": {"first_k_dense_replace": 0}}.items():
        path = _save(tmp_path / name, **changes)
        save_tokenizer(words, path, chat_template=TEMPLATE, max_length=512)
        export_gguf(path, tmp_path / f"{name}.gguf")
    _same_weights(tmp_path / "sparse.gguf", load_checkpoint(tmp_path / "sparse"))
    plain = _weights(tmp_path / "plain.gguf")
    assert "blk.0.attn_q.weight" in plain and "blk.0.attn_q_a.weight" not in plain
    assert _fields(tmp_path / "plain.gguf")["deepseek2.attention.q_lora_rank"] == 0  # llama.cpp insists on the key


def test_the_network_is_described_as_llama_cpp_reads_it(folder: Path, tmp_path: Path) -> None:
    export_gguf(folder, tmp_path / "out.gguf")
    c, fields = _config(), _fields(tmp_path / "out.gguf")
    said = {name.removeprefix("deepseek2."): value for name, value in fields.items() if name.startswith("deepseek2.")}
    assert fields["general.architecture"] == "deepseek2"
    assert said == {
        "block_count": 3,
        "context_length": 512,
        "vocab_size": ROWS,
        "embedding_length": c.hidden_size,
        "feed_forward_length": c.intermediate_size,
        "leading_dense_block_count": 1,
        "attention.head_count": c.num_attention_heads,
        "attention.head_count_kv": 1,
        "attention.layer_norm_rms_epsilon": pytest.approx(c.rms_norm_eps),
        "attention.q_lora_rank": c.q_lora_rank,
        "attention.kv_lora_rank": c.kv_lora_rank,
        "attention.key_length": c.kv_lora_rank + c.qk_rope_head_dim,
        "attention.value_length": c.kv_lora_rank,
        "attention.key_length_mla": c.qk_nope_head_dim + c.qk_rope_head_dim,
        "attention.value_length_mla": c.v_head_dim,
        "rope.dimension_count": c.qk_rope_head_dim,
        "rope.freq_base": c.rope_theta,
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 4.0,
        "rope.scaling.original_context_length": 128,
        "rope.scaling.yarn_beta_fast": 1.0,
        "rope.scaling.yarn_beta_slow": 1.0,
        "rope.scaling.yarn_log_multiplier": pytest.approx(0.1),
        "expert_count": 8,
        "expert_used_count": 2,
        "expert_shared_count": 1,
        "expert_feed_forward_length": c.moe_intermediate_size,
        "expert_weights_scale": pytest.approx(c.routed_scaling_factor),
        "expert_weights_norm": True,
        "expert_gating_func": 2,  # sigmoid
    }


def test_tokens_ends_and_template_are_inside(folder: Path, words: Tokenizer, tmp_path: Path) -> None:
    export_gguf(folder, tmp_path / "out.gguf")
    said = {n.removeprefix("tokenizer."): v for n, v in _fields(tmp_path / "out.gguf").items() if n.startswith("token")}
    tokens, kinds = said["ggml.tokens"], said["ggml.token_type"]
    assert len(tokens) == len(kinds) == len(set(tokens)) == ROWS
    assert {tokens[number]: number for number in range(words.get_vocab_size())} == words.get_vocab()
    for token in SPECIAL:
        assert kinds[words.token_to_id(token)] == TokenType.CONTROL, token
    for token in MARKERS:  # shown to who reads an answer
        assert kinds[words.token_to_id(token)] == TokenType.USER_DEFINED, token
    assert set(kinds[: words.token_to_id("[BOS]")]) == {TokenType.NORMAL}
    assert set(kinds[words.get_vocab_size() :]) == {TokenType.UNUSED}
    assert said["ggml.merges"] == [" ".join(merge) for merge in json.loads(words.to_str())["model"]["merges"]]
    assert (said["ggml.model"], said["ggml.pre"]) == ("gpt2", "smollm")
    assert said["ggml.eos_token_id"] == said["ggml.eot_token_id"] == words.token_to_id("<|im_end|>")
    assert said["ggml.eom_token_id"] == 461 == words.token_to_id("[EOS]")  # what config.json says
    assert said["ggml.add_bos_token"] is False
    assert said["chat_template"] == TEMPLATE


def test_generation_config_names_the_end_tokens(folder: Path, words: Tokenizer, tmp_path: Path) -> None:
    described = folder / "generation_config.json"
    try:
        described.write_text(json.dumps({"eos_token_id": [462, words.token_to_id("[EOT]")]}))
        export_gguf(folder, tmp_path / "out.gguf")
        fields = _fields(tmp_path / "out.gguf")
        assert fields["tokenizer.ggml.eom_token_id"] == words.token_to_id("[EOT]")
        described.write_text('{"eos_token_id": 9999}')
        with pytest.raises(ConfigError, match=r"generation_config.json: eos_token_id: 9999 is no token"):
            export_gguf(folder, tmp_path / "out.gguf")
    finally:
        described.unlink()


def test_a_vocabulary_of_others_keeps_its_own_end_and_router(tmp_path: Path) -> None:
    path = _save(
        tmp_path / "v2",
        topk_method="greedy",
        scoring_func="softmax",
        norm_topk_prob=False,
        routed_scaling_factor=1.0,
        eos_token_id=300,
        bos_token_id=7,
    )
    small_vocabulary("deepseek-coder", special=False).save(str(path / "tokenizer.json"))
    done = export_gguf(path, tmp_path / "out.gguf")
    fields = _fields(tmp_path / "out.gguf")
    assert "no chat template" in done.notes[0] and "tokenizer.chat_template" not in fields
    assert fields["tokenizer.ggml.eos_token_id"] == fields["tokenizer.ggml.eot_token_id"] == 300
    assert fields["tokenizer.ggml.bos_token_id"] == 7
    assert fields["deepseek2.expert_gating_func"] == 1  # softmax
    assert not any("exp_probs_b" in name for name in _weights(tmp_path / "out.gguf"))
    described = json.loads((path / "config.json").read_text()) | {"eos_token_id": None}
    (path / "config.json").write_text(json.dumps(described))
    with pytest.raises(ConfigError, match=r"config.json: eos_token_id: missing"):
        export_gguf(path, tmp_path / "out.gguf")


def test_int4_becomes_the_numbers_that_it_stands_for(folder: Path, tmp_path: Path) -> None:
    int4 = _save(tmp_path / "int4", dtype=None)
    done = export_gguf(int4, tmp_path / "out.gguf", dtype="bf16", tokenizer=folder)
    assert done.dtype == "bf16" and done.notes[0].startswith("quantized weights are written")
    _same_weights(tmp_path / "out.gguf", load_checkpoint(int4))


def test_int4_experts_keep_their_codes_and_scales_as_q4_0(folder: Path, tmp_path: Path) -> None:
    int4 = _save(tmp_path / "int4", dtype=None)
    done = export_gguf(int4, tmp_path / "out.gguf", tokenizer=folder)
    assert done.dtype == "q4_0" and not any("changed" in note for note in done.notes)
    read = {tensor.name: tensor for tensor in GGUFReader(tmp_path / "out.gguf").tensors}
    experts = [name for name in read if name.endswith("_exps.weight")]
    assert len(experts) == 3 * 2 and {read[name].tensor_type.name for name in experts} == {"Q4_0"}
    stored: dict[str, Tensor] = {}
    for shard in int4.glob("*.safetensors"):
        stored |= load_file(shard)
    for name in experts:
        _, layer, part, _ = name.replace("_exps", "").split(".")
        values = gguf.dequantize(read[name].data, read[name].tensor_type)
        assert read[name].n_bytes == values.size // 32 * 18
        for expert, value in enumerate(values):
            of = f"model.layers.{layer}.mlp.experts.{expert}.{part.removeprefix('ffn_')}_proj.weight"
            codes = unpack_from_int32(stored[f"{of}_packed"], 4, torch.Size(stored[f"{of}_shape"].tolist()))
            wanted = codes.float().unflatten(-1, (-1, 32)) * stored[f"{of}_scale"].float()[..., None]
            assert torch.equal(torch.tensor(value), wanted.flatten(-2)), of
    others = _weights(tmp_path / "out.gguf")
    for name, tensor in _expected(load_checkpoint(int4)).items():
        assert name in experts or torch.equal(torch.tensor(others[name]), tensor.detach().float()), name


def test_q4_0_of_other_weights_says_what_it_changed(folder: Path, tmp_path: Path) -> None:
    done = export_gguf(folder, tmp_path / "out.gguf", dtype="q4_0")
    (note,) = [note for note in done.notes if "changed" in note]
    assert "rounded to nearest" in note and 5 < float(note.split("changed by ")[1].split("%")[0]) < 15


def test_a_scale_that_float16_cannot_hold_is_no_q4_0(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "large"
    model = load_checkpoint(folder)
    with torch.no_grad():
        for layer in model.model.layers[1:]:
            layer.mlp.experts.up_proj.mul_(1e9)
    save_checkpoint(model, path, dtype=torch.bfloat16)
    with pytest.raises(NotFiniteError, match="beyond the range of q4_0"):
        export_gguf(path, tmp_path / "out.gguf", dtype="q4_0", tokenizer=folder)
    assert not (tmp_path / "out.gguf").exists()


def test_float32_and_float16_are_written_when_asked(folder: Path, tmp_path: Path) -> None:
    export_gguf(folder, tmp_path / "f32.gguf", dtype="f32")
    _same_weights(tmp_path / "f32.gguf", load_checkpoint(folder))
    export_gguf(folder, tmp_path / "f16.gguf", dtype="f16")
    model = load_checkpoint(folder)
    assert torch.equal(
        torch.tensor(_weights(tmp_path / "f16.gguf")["output.weight"]), model.lm_head.weight.half().float()
    )
    with torch.no_grad():
        model.lm_head.weight[3, 5] = 1e5
    save_checkpoint(model, tmp_path / "large", dtype=torch.bfloat16)
    with pytest.raises(NotFiniteError, match=r"output.weight holds values beyond the range of f16"):
        export_gguf(tmp_path / "large", tmp_path / "large.gguf", dtype="f16", tokenizer=folder)
    assert not list(tmp_path.glob("*large.gguf*"))


@pytest.mark.parametrize(
    "name", ["gpt-2", "smollm", "qwen2", "llama-bpe", "smaug-bpe", "deepseek-v3", "deepseek-coder", "kimi-k2"]
)
def test_a_known_way_to_cut_text_has_its_name(name: str) -> None:
    tokenizer = small_vocabulary(name)
    assert vocabulary(tokenizer, ROWS).splitter == name


def test_the_projects_own_tokenizer_is_cut_as_qwen2s() -> None:
    assert vocabulary(small_vocabulary("scratch"), ROWS).splitter == "qwen2"


BYTES = ByteLevel(add_prefix_space=False, use_regex=False)
UNKNOWN = {  # what stands before the bytes → what the one line names
    "metaspace": (Sequence([Metaspace(), BYTES]), "Metaspace"),
    "whitespace": (Sequence([Whitespace(), BYTES]), "Whitespace"),
    "punctuation": (Sequence([Punctuation(), ByteLevel(add_prefix_space=False)]), "Punctuation"),
    "digits in runs": (Sequence([Digits(individual_digits=False), ByteLevel(add_prefix_space=False)]), "Digits"),
    "another pattern": (Sequence([Split(r"x+", behavior="isolated"), BYTES]), "Split"),
    "no cut": (BYTES, "a split by nothing"),
    "a leading space": (ByteLevel(add_prefix_space=True), "leading space"),
    "nothing": (None, "ByteLevel"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_way_to_cut_text_that_llama_cpp_lacks_is_refused_by_name(case: str) -> None:
    tokenizer = small_vocabulary("smollm")
    if UNKNOWN[case][0] is None:
        described = None
    else:
        tokenizer.pre_tokenizer = UNKNOWN[case][0]
        described = json.loads(tokenizer.to_str())["pre_tokenizer"]
    with pytest.raises(ConfigError, match=rf"^tokenizer.json: pre_tokenizer: .*{UNKNOWN[case][1]}"):
        splitter(described, ignore_merges=False)


def test_other_models_and_normalizers_are_refused_and_nfc_is_said(
    folder: Path, words: Tokenizer, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="model WordPiece"):
        vocabulary(Tokenizer(WordPiece({"a": 0}, unk_token="a")), ROWS)
    changed = Tokenizer.from_str(words.to_str())
    changed.normalizer = Lowercase()
    with pytest.raises(ConfigError, match=r"normalizer: llama.cpp has none like .*Lowercase"):
        vocabulary(changed, ROWS)
    with pytest.raises(ConfigError, match=r"477 tokens|id 476.*has 400 rows"):
        vocabulary(words, 400)
    changed.normalizer = NFC()
    save_tokenizer(changed, tmp_path, chat_template=TEMPLATE, max_length=512)
    assert "NFC" in export_gguf(folder, tmp_path / "out.gguf", tokenizer=tmp_path).notes[0]


REFUSED: dict[str, dict[str, Any]] = {
    "topk_method": {
        "topk_method": "group_limited_greedy",
        "scoring_func": "softmax",
        "norm_topk_prob": False,
        "n_group": 4,
        "topk_group": 2,
    },
    "rms_norm_eps: 0.05": {"rms_norm_eps": 0.05},
    "n_shared_experts": {"n_shared_experts": 0},
    "q_lora_rank: 32 with 27": {"num_hidden_layers": 27},
    "q_lora_rank: 32 with 48": {"num_hidden_layers": 48, "vocab_size": 128256},
    "rope_scaling.mscale:": {"rope_scaling": YarnConfig(4.0, 128, mscale=0.5, mscale_all_dim=1.0)},
    "rope_scaling.mscale_all_dim": {"rope_scaling": YarnConfig(4.0, 128, mscale_all_dim=None, attention_factor=1.0)},
    "rope_scaling.truncate": {"rope_scaling": YarnConfig(4.0, 128, truncate=False)},
}


@pytest.mark.parametrize("key", REFUSED)
def test_a_network_that_llama_cpp_lacks_is_refused_by_its_key(key: str) -> None:
    with pytest.raises(ConfigError, match=f"^{key}"):
        check_network(_config(**REFUSED[key]))
    check_network(_config(num_hidden_layers=27, q_lora_rank=None))
    check_network(_config(num_hidden_layers=48))


def test_a_template_is_found_where_transformers_put_it(tmp_path: Path) -> None:
    described = tmp_path / "tokenizer_config.json"
    for value, wanted in (
        ({"chat_template": "A"}, "A"),
        ({"chat_template": [{"name": "rag", "template": "R"}, {"name": "default", "template": "D"}]}, "D"),
        ({"chat_template": [{"name": "rag", "template": "R"}]}, None),
        ({}, None),
    ):
        described.write_text(json.dumps(value))
        assert chat_template(tmp_path) == wanted
    (tmp_path / "chat_template.jinja").write_text("F")
    assert chat_template(tmp_path) == "F"


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("gguf", folder)`: status, stdout and stderr of `k2 export`."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["k2 export", *map(str, arguments)])
        status = main()
        return status, *capsys.readouterr()

    return run


def test_the_command_says_what_it_wrote(folder: Path, run: Run, tmp_path: Path) -> None:
    assert COMMANDS["export"][0] == "k2model.formats.export"
    status, out, _ = run("gguf", folder, "--out", tmp_path / "a/x.gguf", "--dtype", "f32")
    note, line = out.splitlines()
    assert note.startswith(f"{tmp_path / 'a/x.gguf'}: llama.cpp reads YaRN's ramp")
    assert status == 0 and line.startswith(f"{tmp_path / 'a/x.gguf'}: ") and "as f32, splitter smollm" in line
    beside = folder.with_name("model.gguf")
    assert run("gguf", folder)[0] == 0 and beside.exists()
    before = beside.read_bytes()
    assert run("gguf", folder)[0] == 0 and beside.read_bytes() == before


def _break(folder: Path, tmp_path: Path, name: str, text: bytes | None) -> Path:
    """A copy of a folder in which a file is other bytes, or missing."""
    copy = shutil.copytree(folder, tmp_path / "broken")
    (copy / name).unlink() if text is None else (copy / name).write_bytes(text)
    return copy


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("config.json", None, "config.json: not found"),
        ("config.json", b"{", "config.json: not JSON"),
        ("config.json", b"{}", "config.json: vocab_size: missing"),
        ("tokenizer.json", None, "tokenizer.json: not found"),
        ("tokenizer.json", b"{}", "tokenizer.json: no tokenizer"),
        ("chat_template.jinja", b"\xff\xfe", "chat_template.jinja: not UTF-8"),
        ("generation_config.json", b"[]", "generation_config.json: not a JSON object"),
        ("generation_config.json", b'{"eos_token_id": ["x"]}', "eos_token_id: 'x' is no token"),
        ("model.safetensors", None, "neither model.safetensors nor"),
        ("model.safetensors", b"abc", "model.safetensors: corrupted"),
        ("manifest.json", b'{"config.json": "00"}', "config.json: corrupted"),
    ],
)
def test_a_broken_folder_is_one_line(
    name: str, text: bytes | None, said: str, folder: Path, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out.gguf"
    status, _, told = run("gguf", _break(folder, tmp_path, name, text), "--out", out)
    assert status == 2 and len(told.splitlines()) == 1 and said in told, told
    assert not out.exists() and not list(tmp_path.glob(".out*"))


def test_places_that_cannot_be_are_one_line(folder: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for arguments, said in (
        (("gguf", tmp_path / "nowhere"), "nowhere/config.json: not found"),
        (("gguf", tmp_path / "file"), "file/config.json: "),
        (("gguf", "/"), "/config.json: not found"),
        (("gguf", folder, "--out", tmp_path), f"--out: {tmp_path} is a folder"),
        (("gguf", folder, "--out", folder / "model.safetensors"), "model.safetensors is there and no GGUF file"),
        (("gguf", folder, "--out", tmp_path / "file"), "file is there and no GGUF file"),
        (("gguf", folder, "--out", tmp_path / "file/x.gguf"), "file: File exists"),
        (("gguf", folder, "--tokenizer", tmp_path / "nowhere"), "nowhere/tokenizer.json: not found"),
    ):
        status, _, told = run(*arguments)
        assert status == 2 and len(told.splitlines()) == 1 and said in told, told
