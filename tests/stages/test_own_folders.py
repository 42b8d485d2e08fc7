"""`k2 sft|rl|qat|evaluate --model FOLDER` where the pipeline never ran: the folder's own vocabulary, its own result."""

import csv
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoTokenizer

from bench.mock_endpoint import Action, MockEndpoint
from k2model.chat.tokenizer import load_tokenizer
from k2model.config import K2Config
from k2model.formats.checkpoint import load_config
from k2model.formats.int4_checkpoint import load_any
from k2model.formats.model_folder import read_provenance, save_model_folder
from k2model.model import K2Model
from stages.dial import merge
from stages.evaluate import standalone
from tests.conftest import ROOT
from tests.recording import KeptRecord
from tests.small_data import small_tokenizer, write_training_data

SMALL: dict[str, Any] = {
    "tasks": {"families": ["larger", "parity"]},
    "sft": {"steps": 2, "sequence_length": 512, "eval_calls": 1, "eval_tasks": 1} | {"facts": 2, "eval_every": 1},
    "rl": {
        "iterations": 1,
        "context_tokens": 1024,
        "turn_tokens": 160,
        "max_turns": 6,
        "pool": 4,
        "prompts": 2,
        "samples": 2,
        "updates": 1,
        "held_tasks": 2,
    }
    | {"ptx_length": 512, "critic": {"open_prompts": 0, "pairs": 1, "held_pairs": 1}},
    "qat": {"steps": 1, "eval_documents": 2, "eval_facts": 2, "eval_tasks": 2, "demonstrations": 2},
    "evaluate": {"facts": 2, "benchmarks": [{"name": "elementary", "items": 2, "max_tokens": 2}], "arena": None},
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """params.yaml, dvc.yaml, the data of the training stages; neither a tokenizer nor a model of the pipeline's."""
    folder = tmp_path_factory.mktemp("alone") / "checkout"
    (folder / "data").mkdir(parents=True)
    value = yaml.safe_load((ROOT / "params.yaml").read_text())
    value = merge(merge(value, yaml.safe_load((ROOT / "sizes" / "smoke.yaml").read_text())), SMALL)
    value["sft"]["demonstrations"] = {"larger": 4, "instructions": 2}
    (folder / "params.yaml").write_text(yaml.safe_dump(value))
    (folder / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    write_training_data(folder / "data")
    tokenizer = small_tokenizer(307)
    config = K2Config.preset("smoke", vocab_size=320, num_hidden_layers=2)  # more rows than tokens, as real ones have
    save_model_folder(K2Model(config, seed=1), folder.parent / "mine", tokenizer, [])
    return folder


def _left(checkout: Path) -> list[str]:
    """What of the pipeline's is there."""
    return sorted(path.name for path in checkout.iterdir() if path.name != "work")


@pytest.mark.parametrize("stage", ["sft", "rl", "qat"])
def test_a_stage_goes_on_from_a_folder_alone(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    torch.set_num_threads(1)
    monkeypatch.chdir(checkout)
    module = importlib.import_module(f"stages.{stage}.__main__")
    monkeypatch.setattr(module, "Track", KeptRecord)
    monkeypatch.setattr(sys, "argv", [f"k2 {stage}", "--model", "../mine", "--out", f"../{stage}"])
    before = _left(checkout)
    module.main()
    assert _left(checkout) == before == ["data", "dvc.yaml", "params.yaml"]
    assert "held-out text" in capsys.readouterr().out or stage == "qat"
    out = checkout.parent / stage
    assert {path.name for path in (out / "run").iterdir()} == {
        "sft": {"sft.json", "sft.csv"},
        "rl": {"rl.json", "rl.csv", "rollouts.parquet"},
        "qat": {"qat.json"},
    }[stage]
    if stage == "sft":
        assert json.loads((out / "run" / "sft.json").read_text())["instructions"] == 2
        rows = list(csv.DictReader((out / "run" / "sft.csv").open()))
        assert [(row["step"], bool(row["loss"]), bool(row["text_loss"])) for row in rows] == [
            ("0", False, True), ("1", True, True), ("2", True, True)
        ]  # fmt: skip
        assert [bool(row["success_larger"]) for row in rows] == [False, True, True]
    load_any(out)
    assert (load_config(out).quantization_config is not None) == (stage == "qat")
    assert load_tokenizer(out).backend.to_str() == small_tokenizer(307).backend.to_str()
    assert AutoTokenizer.from_pretrained(out).chat_template
    metrics = json.loads((out / "run" / f"{stage}.json").read_text())
    assert metrics["text_loss"] == pytest.approx(metrics["text_loss_start"] + metrics["text_loss_change"])
    assert 0 < metrics["text_loss_per_byte"] < metrics["text_loss"]
    (record,) = read_provenance(out)
    assert record.stage == stage and record.metrics["text_loss"] == metrics["text_loss"]
    assert record.start.startswith("`mine` (manifest ")


@pytest.mark.parametrize("answer", ["Because it is so.\n[[A]]", "I can't decide."])
def test_rl_asks_a_judge_behind_a_url(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    def behave(body: dict[str, Any], before: int) -> Action:
        choice = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        return Action(raw=json.dumps({"choices": [choice], "usage": usage}).encode())

    torch.set_num_threads(1)
    monkeypatch.chdir(checkout)
    module = importlib.import_module("stages.rl.__main__")
    monkeypatch.setattr(module, "Track", KeptRecord)
    monkeypatch.setattr(sys, "argv", ["k2 rl", "--model", "../mine", "--out", "../judged"])
    kept = (checkout / "params.yaml").read_text()
    value = yaml.safe_load(kept)
    value["endpoint"]["max_failed_share"] = 0.1
    with MockEndpoint(behave) as server:
        value["rl"]["critic"] |= {"open_prompts": 1, "judge": f"{server.url}#mock", "held_open_pairs": 12}
        (checkout / "params.yaml").write_text(yaml.safe_dump(value))
        try:
            if "[[A]]" in answer:
                module.main()
            else:
                with pytest.raises(SystemExit):
                    module.main()
        finally:
            (checkout / "params.yaml").write_text(kept)
        asked = server.asked.total()
    if "[[A]]" in answer:
        metrics = json.loads((checkout.parent / "judged" / "run" / "rl.json").read_text())
        assert asked > 24
        assert (metrics["verdicts_failed"], metrics["unjudged"]) == (0, 0)
        assert (metrics["held_critic_position_bias"], metrics["held_critic_agreement"]) == (0.5, 0.5)
    else:
        assert "rl.critic.judge: " in capsys.readouterr().err


def test_evaluate_takes_a_folder_alone(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(standalone, "log_run", lambda *args, **rest: True)
    assert standalone.run(["--model", "../mine", "--out", "../scores"]) == 0
    scores = json.loads((checkout.parent / "scores" / "scores.json").read_text())
    assert {"text_loss", "text_loss_per_byte", "facts", "facts_held_out", "elementary"} <= set(scores)
    assert scores["elementary_n"] == 2


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--model", "../nowhere"], "evaluate: --model ../nowhere: no folder; an endpoint's URL goes to --target"),
        (["--items", "3"], "evaluate: --model FOLDER or --target is needed (see --help)"),
        (["--model", "data"], "evaluate: data/config.json: not found"),
        (["--model", "../mine", "--benchmarks", ","], "evaluate: --benchmarks: names none (see --help)"),
    ],
)
def test_what_evaluate_can_not_take_is_one_line(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    monkeypatch.chdir(checkout)
    assert standalone.run(argv) == 2
    assert capsys.readouterr().err == f"{said}\n"
