"""What a run goes on from: a folder in any layout, and the phases that it can't have."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from k2model.config import K2Config, YarnConfig
from k2model.training.schedule import Phase
from k2model.training.token_shards import ShardWriter
from stages.harness.errors import InputError
from stages.harness.hooks import Hooks
from stages.pretrain.loop import PretrainJob, check_start, train
from stages.pretrain.params import PretrainParams
from tests.k2model.formats.test_encodings import _fp8_folder
from tests.stages.pretrain.pretrain_rank import PARAMS

LONG = Phase("pretrain.long_context", 5, 128, 0.1, 0.1, yarn_factor=4.0)
BIASED = Phase("pretrain", 5, 64, 0.1, 0.1, bias_rate=0.001)
V2 = {"scoring_func": "softmax", "topk_method": "greedy", "norm_topk_prob": False}


def test_phases_that_the_model_can_not_have_are_one_line_with_the_key() -> None:
    config = K2Config.preset("smoke")
    check_start(config, [BIASED, LONG], Path("models/base"))
    yarn = config.replace(rope_scaling=YarnConfig(40.0, 4096))
    with pytest.raises(InputError, match=r"pretrain\.long_context\.yarn_factor: 4; the model in models/base has YaRN"):
        check_start(yarn, [BIASED, LONG], Path("models/base"))
    with pytest.raises(InputError, match=r"pretrain\.bias_rate: 0\.001; routers with topk_method 'greedy'"):
        check_start(config.replace(**V2), [BIASED], Path("models/base"))


def test_a_run_from_fp8_weights_leaves_a_network_that_is_not_quantized(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    _fp8_folder(tmp_path / "base", [16, 32], layout="moonlight")
    rng = np.random.default_rng(0)
    writer = ShardWriter(tmp_path / "tokens", vocab_size=256, bos=1, shard_tokens=500)
    for _ in range(60):
        writer.add("train", [1, *rng.integers(3, 250, 30).tolist(), 2])
    writer.close({"eos": 2, "pad": 0})
    assert "quantization_config" in json.loads((tmp_path / "base" / "config.json").read_text())
    params = PretrainParams.model_validate(PARAMS)
    (tmp_path / "work").mkdir()
    job = PretrainJob(params, tmp_path / "base", frozenset(), 1, 1, tmp_path / "tokens", tmp_path / "work")
    trained = train(job, Hooks()).engine.model
    assert trained.config.quantization_config is None
    assert trained.config.q_lora_rank is None
