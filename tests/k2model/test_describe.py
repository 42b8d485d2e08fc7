"""Counts against published figures and against an independent sum over real modules."""

import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from k2model.config import K2Config, gate_scaling_factor
from k2model.describe import cache_values, checkpoint_bytes, count_parameters, describe, head_cost
from k2model.errors import ConfigError
from k2model.flops import forward_flops_per_token, train_flops_per_token
from k2model.model import K2Model


def test_k2_has_a_trillion_parameters_of_which_32_9_billion_work() -> None:
    n = count_parameters(K2Config.preset("k2"))
    assert n.total == pytest.approx(1026.4e9, rel=1e-4)
    assert n.active == pytest.approx(32.86e9, rel=2e-4)
    assert n.active - n.embedding == pytest.approx(31.69e9, rel=2e-4)


def test_moonlight_has_the_counts_of_its_report() -> None:
    # Moonlight, table 4: 2.24B activated and 15.29B in all, neither with embeddings.
    n = count_parameters(K2Config.preset("moonlight-16b"))
    assert n.total - n.embedding - n.head == pytest.approx(15.29e9, rel=1e-3)
    assert n.active - n.embedding - n.head == pytest.approx(2.24e9, rel=2e-3)


def test_k2_thinking_in_int4_is_594_gigabytes() -> None:
    n = count_parameters(K2Config.preset("k2-thinking"))
    assert checkpoint_bytes(n, int4_experts=True) == pytest.approx(594e9, rel=2e-3)
    assert checkpoint_bytes(n, int4_experts=False) == pytest.approx(2.05e12, rel=5e-3)


def test_twice_the_heads_cost_83_percent_at_128k() -> None:
    report, whole = head_cost(K2Config.preset("k2"), 128, 131072)
    assert report == pytest.approx(0.83, abs=0.005)
    assert whole > report


def test_the_cache_of_k2_is_576_values_per_layer() -> None:
    assert 2 * cache_values(K2Config.preset("k2")) == 70_272


@pytest.mark.parametrize("rank", [24, None])
def test_counts_are_those_of_the_modules(rank: int | None) -> None:
    config = K2Config.preset("smoke", q_lora_rank=rank)
    model = K2Model(config)
    n = count_parameters(config)
    assert n.total == sum(p.numel() for p in model.parameters())
    assert n.routed == sum(p.numel() for name, p in model.named_parameters() if ".experts." in name)
    assert n.active_routed * config.n_routed_experts == n.routed * config.num_experts_per_tok


@pytest.mark.parametrize("rank", [24, None])
def test_forward_flops_are_those_torch_counts(rank: int | None) -> None:
    config = K2Config.preset("smoke", q_lora_rank=rank)
    model = K2Model(config)
    tokens_BL = torch.zeros(1, 64, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:  # with gradients: torch does not see the products of few rows
        model(tokens_BL)
    expected = forward_flops_per_token(config, 64)
    # One chunk of the attention kernel computes all 64 × 64 scores; the counter doesn't know grouped products.
    assert counter.get_total_flops() / 64 == sum(expected.values()) - expected["routed experts"]


def test_training_costs_three_forward_passes_over_half_the_sequence() -> None:
    config = K2Config.preset("laptop")
    assert train_flops_per_token(config, 512) == 3 * sum(forward_flops_per_token(config, 256).values())


@pytest.mark.parametrize(("experts", "top_k", "published"), [(64, 6, 2.446), (384, 8, 2.827)])
def test_the_scaling_factor_is_derived(experts: int, top_k: int, published: float) -> None:
    assert gate_scaling_factor(experts, top_k) == pytest.approx(published, abs=2e-3)
    small = K2Config.preset("smoke")
    assert small.routed_scaling_factor == gate_scaling_factor(small.n_routed_experts, small.num_experts_per_tok)
    assert K2Config.preset("k2").routed_scaling_factor == 2.827


def test_the_command_prints_every_component() -> None:
    text = describe("k2", 131072)
    for part in ("1026.41B", "32.86B", "594.2 GB", "attention scores", "routed experts", "+83%"):
        assert part in text
    with pytest.raises(ConfigError, match="no preset 'k3'"):
        describe("k3")


def test_an_unknown_preset_is_one_line() -> None:
    command = [sys.executable, "-m", "k2model.describe", "k3"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "k3" in run.stderr
