"""Tuning by two real processes: the weights of one, one record, nothing lost by a kill, one line for what can't be."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from k2model.config import K2Config
from k2model.formats.checkpoint import load_checkpoint, named_tensors
from k2model.formats.model_folder import save_model_folder
from k2model.model import K2Model
from stages.dial import merge
from tests import forked
from tests.conftest import ROOT, make_checkout
from tests.small_data import small_tokenizer, write_training_data
from tests.stages import stage_rank

pytestmark = pytest.mark.slow
Run = Callable[..., Any]
LAYOUTS: dict[str, dict[str, Any]] = {
    "sft": {"zero": 1, "expert_parallel": 2, "recompute": "layer"},
    "rl": {"zero": 3, "expert_parallel": 2, "recompute": "parts"},
    "qat": {"zero": 2, "expert_parallel": 2},
}
SMALL: dict[str, Any] = {
    "tasks": {"families": ["larger", "parity"]},
    "sft": {"steps": 2, "sequence_length": 512, "eval_calls": 1, "eval_tasks": 1, "facts": 2},
    "rl": {
        "iterations": 2,
        "context_tokens": 1024,
        "turn_tokens": 160,
        "max_turns": 6,
        "pool": 4,
        "prompts": 4,
        "samples": 2,
        "updates": 1,
        "held_tasks": 2,
    }
    | {"ptx_length": 512, "critic": {"open_prompts": 4, "pairs": 1, "held_pairs": 1}},
    "qat": {"steps": 2, "compute": "float32", "eval_documents": 2, "eval_facts": 2, "eval_tasks": 2}
    | {"demonstrations": 2},
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_checkout(tmp_path_factory.mktemp("ranks") / "checkout")
    value = yaml.safe_load((ROOT / "params.yaml").read_text())
    value = merge(merge(value, yaml.safe_load((ROOT / "sizes" / "smoke.yaml").read_text())), SMALL)
    value["sft"]["demonstrations"] = {"larger": 4}
    (folder / "params.yaml").write_text(yaml.safe_dump(value))
    write_training_data(folder / "data")
    config = K2Config.preset("smoke", vocab_size=320, num_hidden_layers=2, initializer_range=0.1)
    save_model_folder(K2Model(config, seed=1), folder.parent / "mine", small_tokenizer(307), [])
    return folder


def _set(checkout: Path, stage: str, **values: Any) -> None:
    path = checkout / "params.yaml"
    value = yaml.safe_load(path.read_text())
    value[stage] |= values
    path.write_text(yaml.safe_dump(value))


def _kill_at_the_first_checkpoint(checkout: Path, stage: str, running: list[BaseProcess], log: Path) -> None:
    end = time.monotonic() + 200
    # A walk, since a glob falls over a folder that is renamed while it looks.
    while not any(Path(folder).name.startswith("step-") for folder, _, _ in os.walk(checkout / "work" / stage)):
        assert all(process.is_alive() for process in running) and time.monotonic() < end, log.read_text()
        time.sleep(0.005)
    forked.kill(running)


@pytest.mark.parametrize("stage", LAYOUTS)
def test_two_ranks_tune_the_weights_of_one_and_a_kill_costs_no_bit(checkout: Path, stage: str) -> None:
    found, losses = [], []
    alone = {"zero": 0, "expert_parallel": 1, "recompute": "none"}
    for ranks, layout, killed in ((1, alone, False), (2, LAYOUTS[stage], False), (2, LAYOUTS[stage], True)):
        _set(checkout, stage, ranks=ranks, checkpoint_every=1, **layout)
        out, log = checkout.parent / f"{stage}{len(found)}", checkout.parent / f"{stage}{len(found)}.log"
        arguments = ["--model", "../mine", "--out", f"../{out.name}"]
        shutil.rmtree(checkout / "work" / stage, ignore_errors=True)
        if killed:
            running = stage_rank.start(checkout, stage, arguments, ranks, log)
            _kill_at_the_first_checkpoint(checkout, stage, running, log)
        forked.finish(stage_rank.start(checkout, stage, arguments, ranks, log))
        said = log.read_text()
        assert sum(line.startswith(f"{stage}: ") and line.endswith(" s") for line in said.splitlines()) == 1
        assert ("resumed at" in said) == killed
        shares = {path.name for path in checkout.glob(f"work/{stage}/*/**/rank-*.safetensors")}
        assert len(shares) == ranks, "each rank keeps its share of the state"
        found.append(dict(named_tensors(load_checkpoint(out))))
        losses.append(json.loads((out / "run" / f"{stage}.json").read_text())["text_loss"])
    start = dict(named_tensors(load_checkpoint(checkout.parent / "mine")))
    one, two, again = found
    assert all(torch.equal(again[name], tensor) for name, tensor in two.items())
    moved, apart = (
        sum(float((one[name].float() - other[name].float()).norm()) for name in start) for other in (start, two)
    )
    # What INT4 stores is rounded: a value on a border may fall to either side.
    assert moved > 0 and apart < (2e-2 if stage == "qat" else 1e-3) * moved
    assert losses[0] == pytest.approx(losses[1], abs=1e-3 if stage == "qat" else 1e-4)


def test_rows_that_the_ranks_do_not_divide_are_one_line(checkout: Path, run_in: Run) -> None:
    _set(checkout, "sft", ranks=3, zero=0, expert_parallel=1)
    refused = run_in(checkout, sys.executable, "-m", "stages.sft", check=False)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("sft: params.yaml: sft: ") and "no multiple of micro_rows × ranks (1 × 3)" in line
