"""The plan against what the network keeps, and against its own parts. States: test_engine.py, on real ranks."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from k2model.config import K2Config
from k2model.describe import count_parameters
from k2model.errors import ConfigError
from k2model.flops import train_flops_per_token
from k2model.model import K2Model
from k2model.training.options import Layout
from k2model.training.plan import (
    GPUS,
    USABLE,
    activation_bytes,
    choose_layout,
    memory_per_gpu,
    plan,
    state_memory,
    tokens_per_second,
)

K2, MOONLIGHT = K2Config.preset("k2"), K2Config.preset("moonlight-16b")
ZERO_3 = Layout("bfloat16", 3, recompute="layer")


def kept(model: K2Model, tokens_BL: Tensor) -> int:
    """Bytes that the body's forward pass keeps for the backward pass, each storage once."""
    own = {param.untyped_storage().data_ptr() for param in model.parameters()}
    sizes: dict[int, int] = {}
    alive: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)  # else its place could be taken by another
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.hidden(tokens_BL)
    return sum(sizes.values())


def test_activations_fall_with_recomputation_as_planned() -> None:
    config = K2Config.preset("smoke", num_hidden_layers=6)
    model, tokens_BL = K2Model(config, seed=1), torch.arange(512).view(4, 128) % config.vocab_size
    measured = {}
    for model.recompute in ("none", "layer", "parts"):
        measured[model.recompute] = kept(model, tokens_BL)
    everything = activation_bytes(config, 512, "none", 4.0)
    assert measured["none"] == pytest.approx(everything, rel=0.1)
    # What stays between layers is each layer's input; one layer, or one part, lives on top of it in the backward pass.
    inputs = 4.0 * 512 * config.hidden_size * config.num_hidden_layers
    end = 4.0 * 512 * 2 * config.hidden_size  # the last norm
    live = (everything - end) / config.num_hidden_layers
    assert measured["layer"] == pytest.approx(inputs + end, rel=0.1)
    assert measured["parts"] == pytest.approx(2 * inputs + end, rel=0.1)
    assert activation_bytes(config, 512, "layer", 4.0) == pytest.approx(inputs + end + live)
    assert activation_bytes(config, 512, "parts", 4.0) < 2 * inputs + end + live


def test_the_ceiling_of_int4_is_said() -> None:
    text = plan("k2", 256, "h800")
    config = K2Config.preset("k2")
    expert = 3 * config.hidden_size * config.moe_intermediate_size * config.num_experts_per_tok * config.num_moe_layers
    active = count_parameters(config).active - config.vocab_size * config.hidden_size
    share, ceiling = expert / active, active / (active - expert + expert * 4.5 / 16)
    assert f"routed experts are {share:.1%} of the bytes" in text
    assert f"at most {ceiling:.2f} times" in text


def test_states_of_all_ranks_sum_to_the_model() -> None:
    n = count_parameters(MOONLIGHT)
    adamw = n.embedding + n.head + n.norms
    for ep in (1, 8):
        layout = replace(ZERO_3, expert_parallel=ep)
        memory = state_memory(MOONLIGHT, layout, 8, matrices="muon", stored=2.0)
        assert 8 * memory.weights == pytest.approx(2 * n.total)
        assert 8 * memory.gradients == pytest.approx(4 * n.total)
        assert 8 * memory.moments == pytest.approx(4 * n.total + 4 * adamw)
    alone = state_memory(MOONLIGHT, Layout(), 1, matrices="adamw", stored=4.0)
    assert (alone.master, alone.moments) == (0.0, pytest.approx(8 * n.total))


def test_moonlight_is_tuned_on_one_node_of_eight_and_k2_on_256() -> None:
    gpu = GPUS["h100"]
    ep8 = replace(ZERO_3, expert_parallel=8)
    for stage, rollouts in (("pretrain", 0), ("sft", 0), ("rl", 32), ("qat", 0)):
        memory = memory_per_gpu(MOONLIGHT, ep8, 8, stage=stage, rollouts=rollouts)  # type: ignore[arg-type]
        assert memory.total < USABLE * gpu.memory, stage
    assert memory_per_gpu(MOONLIGHT, replace(ep8, zero=2), 8).states > memory_per_gpu(MOONLIGHT, ep8, 8).states
    assert memory_per_gpu(K2, replace(ZERO_3, expert_parallel=64), 256).states == pytest.approx(56e9, rel=0.02)


def test_the_chosen_size_is_the_first_that_fits() -> None:
    gpu = GPUS["h100"]
    layout = choose_layout(K2, 256, gpu, ZERO_3)
    assert memory_per_gpu(K2, layout, 256).total <= USABLE * gpu.memory
    half = replace(layout, expert_parallel=layout.expert_parallel // 2)
    assert half.expert_parallel == 0 or memory_per_gpu(K2, half, 256).total > USABLE * gpu.memory


def test_speed_and_days_follow_from_flops() -> None:
    speed = tokens_per_second(K2, 2048, GPUS["h100"], 0.4, 4096)
    assert speed * train_flops_per_token(K2, 4096) == pytest.approx(2048 * 989e12 * 0.4)
    text = plan("k2", 2048, "h100", mfu=0.4, ep=64)
    assert f"{15.5e12 / speed / 86400:,.1f} days" in text
    assert "zero 3, expert_parallel 64" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpus": 8}, "8 GPUs of 80 GB don't hold this model with zero 3"),
        ({"gpus": 0}, "--gpus: 0"),
        ({"gpus": 96, "ep": 36}, "expert_parallel: 36 does not divide the 96 ranks"),
        ({"gpus": 70, "ep": 35}, "--ep: 35 does not divide n_routed_experts 384"),
        ({"gpus": 8, "layout": Layout("bfloat16", 1)}, "compute: bfloat16 with zero 1"),
        ({"gpus": 8, "gpu_name": "abacus"}, "--gpu: no 'abacus'"),
        ({"gpus": 8, "mfu": 1.5}, "--mfu: 1.5"),
        ({"gpus": 8, "sequence_length": 0}, "--seq-len: 0"),
    ],
)
def test_what_can_not_be_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan("k2", **({"gpu_name": "h100"} | options))  # type: ignore[arg-type]
