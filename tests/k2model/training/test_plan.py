"""The plan against the K2 report's own figures (§2.4)."""

import pytest

from k2model.config import K2Config
from k2model.describe import count_parameters
from k2model.errors import ConfigError
from k2model.flops import train_flops_per_token
from k2model.training.plan import (
    GPUS,
    Layout,
    activation_bytes,
    choose_layout,
    memory_per_gpu,
    plan,
    tokens_per_second,
)

K2 = K2Config.preset("k2")


def test_weights_and_gradients_are_six_terabytes() -> None:
    assert 6 * count_parameters(K2).total == pytest.approx(6e12, rel=0.03)


def test_a_gpu_of_the_256_way_group_holds_about_30_gigabytes() -> None:
    small = memory_per_gpu(K2, Layout(16, 16, 8), recompute="offload")
    large = memory_per_gpu(K2, Layout(16, 16, 32), recompute="offload")
    assert large.weights + large.gradients == pytest.approx(6e12 / 256, rel=0.25)
    assert large.states == pytest.approx(30e9, rel=0.05)
    assert small.states == pytest.approx(30e9, rel=0.15)
    # With one replica the optimizer states are not negligible: the report moves them to the host.
    assert memory_per_gpu(K2, Layout(16, 16, 1)).optimizer > 30e9


def test_states_of_all_gpus_sum_to_the_model_when_nothing_is_replicated() -> None:
    config = K2Config.preset("h100")
    n = count_parameters(config)
    one = memory_per_gpu(config, Layout(1, 1, 1))
    assert one.weights == pytest.approx(2 * n.total)
    assert one.gradients == pytest.approx(4 * n.total)
    adamw = n.embedding + n.head + n.norms
    assert one.optimizer == pytest.approx(8 * n.total + 4 * adamw)
    assert memory_per_gpu(config, Layout(1, 1, 8)).optimizer == pytest.approx(one.optimizer / 8)
    experts_split = memory_per_gpu(config, Layout(1, 8, 1))
    assert experts_split.weights == pytest.approx(2 * (n.total - n.routed + n.routed / 8))


def test_recomputation_and_offload_save_activations() -> None:
    everything, layer, offload = (activation_bytes(K2, 4096, 4, 16, mode) for mode in ("none", "layer", "offload"))
    assert everything > 5 * layer > 5 * offload


def test_speed_and_days_follow_from_flops() -> None:
    speed = tokens_per_second(K2, 2048, GPUS["h100"], 0.4, 4096)
    assert speed * train_flops_per_token(K2, 4096) == pytest.approx(2048 * 989e12 * 0.4)
    text = plan("k2", 2048, "h100", mfu=0.4, pp=16, ep=16)
    assert f"{15.5e12 / speed / 86400:,.1f} days" in text
    assert "PP 16 × EP 16 × DP 8" in text
    assert "6.16 TB" in text


def test_the_chosen_layout_fits_and_is_the_smallest() -> None:
    gpu = GPUS["h100"]
    layout = choose_layout(K2, 2048, gpu)
    assert layout.gpus == 2048
    assert memory_per_gpu(K2, layout).total < gpu.memory
    half = layout.pp * layout.ep // 2
    for pp in (1, 2, 4, 8, 16, 32):
        if half % pp == 0 and K2.n_routed_experts % (half // pp) == 0:
            smaller = Layout(pp, half // pp, 2048 // half)
            assert memory_per_gpu(K2, smaller).total > 0.92 * gpu.memory
    assert choose_layout(K2Config.preset("h100"), 1, gpu) == Layout(1, 1, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpus": 8}, "no layout of 8 GPUs of 80 GB"),
        ({"gpus": 0}, "--gpus: 0"),
        ({"gpus": 96, "pp": 2, "ep": 36}, "no multiple of pp × ep"),
        ({"gpus": 128, "pp": 128, "ep": 1}, "--pp: 128 stages for 61 layers"),
        ({"gpus": 70, "pp": 2, "ep": 35}, "--ep: 35 does not divide n_routed_experts 384"),
        ({"gpus": 8, "gpu_name": "abacus"}, "--gpu: no 'abacus'"),
        ({"gpus": 8, "mfu": 1.5}, "--mfu: 1.5"),
        ({"gpus": 8, "sequence_length": 0}, "--seq-len: 0"),
    ],
)
def test_what_can_not_be_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan("k2", **({"gpu_name": "h100"} | options))  # type: ignore[arg-type]
