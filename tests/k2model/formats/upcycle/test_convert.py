"""A converted network against the dense one that it was made of, before any training."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from k2model.errors import ConfigError
from k2model.formats.dense import DenseConfig, DenseModel, DenseWeights
from k2model.formats.upcycle.attention import AttentionSizes, slots
from k2model.formats.upcycle.calibrate import LayerStatistics, calibrate
from k2model.formats.upcycle.convert import UpcycleSizes, convert, upcycled_config
from k2model.formats.upcycle.experts import ExpertSizes

EXPERTS = ExpertSizes(slices=3, copies=2, shared=1)
# A grid between frequencies that are all one is exact: what is left is the algebra.
ALIKE = 1.0 + 1e-9


def dense(
    *, kv_heads: int = 2, base: float = ALIKE, bias: float = 0.0, norms: bool = False, seed: int = 0
) -> DenseModel:
    c = DenseConfig(3, 48, 4, kv_heads, 16, 128, 90, 256, 1e-6, base)
    random = torch.Generator().manual_seed(0)

    def draw(*shape: int, std: float) -> Tensor:
        return torch.randn(*shape, generator=random) * std

    def layers(*shape: int, std: float, mean: float = 0.0) -> list[Tensor]:
        return [mean + draw(*shape, std=std) for _ in range(c.layers)]

    embed = draw(c.vocab, c.hidden, std=1.0) + 0.5 * draw(c.hidden, std=1.0)
    rows = (c.heads + 2 * c.kv_heads) * c.head_dim
    return DenseModel(
        c,
        DenseWeights(
            embed=embed,
            head=embed,
            final_norm=1 + draw(c.hidden, std=0.1),
            attn_norm=layers(c.hidden, std=0.2, mean=1.0),
            qkv=layers(rows, c.hidden, std=0.3),
            out=layers(c.hidden, c.heads * c.head_dim, std=0.1),
            ffn_norm=layers(c.hidden, std=0.2, mean=1.0),
            gate_up=layers(2 * c.ffn, c.hidden, std=0.2),
            down=layers(c.hidden, c.ffn, std=0.1),
            qkv_bias=layers(rows, std=bias) if bias else [],
            q_norm=layers(c.head_dim, std=0.2, mean=1.0) if norms else [],
            k_norm=layers(c.head_dim, std=0.2, mean=1.0) if norms else [],
        ),
    )


def tokens(seed: int, rows: int = 4, length: int = 48) -> Tensor:
    return torch.randint(0, 90, (rows, length), generator=torch.Generator().manual_seed(seed))


def statistics(model: DenseModel) -> list[LayerStatistics]:
    return calibrate(model, [tokens(1), tokens(2)])


def missed(model: DenseModel, sizes: UpcycleSizes, seed: int = 3) -> float:
    """Nats that the converted network's distributions are away from the dense one's, on other tokens."""
    network = convert(model, statistics(model), sizes, seed=0)
    wanted = model.logits(tokens(seed)).log_softmax(-1)
    with torch.no_grad():
        own = network(tokens(seed)).logits_BLV[..., :90].log_softmax(-1)
    return float((wanted.exp() * (wanted - own)).sum(-1).mean())


def sizes(latent: int = 48, components: int = 2, spare: int = 8, first_dense: int = 1) -> UpcycleSizes:
    return UpcycleSizes(AttentionSizes(latent, components, spare), EXPERTS, first_dense, 96)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_with_room_for_everything_it_is_the_same_function(kv_heads: int) -> None:
    assert missed(dense(kv_heads=kv_heads), sizes(components=kv_heads)) < 1e-7


def test_one_key_head_is_exact_at_every_frequency() -> None:
    assert missed(dense(kv_heads=1, base=500.0), sizes(components=1)) < 1e-8


def test_more_components_and_more_latent_miss_less() -> None:
    model = dense(kv_heads=4, base=500.0)
    by_components = [missed(model, sizes(components=components)) for components in (1, 2, 4)]
    by_latent = [missed(dense(kv_heads=1, base=500.0), sizes(latent, 1)) for latent in (12, 32, 48)]
    assert by_components == sorted(by_components, reverse=True)
    assert by_latent == sorted(by_latent, reverse=True) and by_latent[-1] < 1e-8


def test_the_experts_of_a_copy_are_the_dense_layer_for_every_token() -> None:
    model = dense(kv_heads=1)
    network = convert(model, statistics(model), sizes(components=1), seed=0)
    with torch.no_grad():
        load_LE = network(tokens(4)).expert_load_LE
        all_dense = convert(model, statistics(model), sizes(components=1, first_dense=3), seed=0)
        assert (network(tokens(4)).logits_BLV - all_dense(tokens(4)).logits_BLV).abs().max() < 1e-4
    copies_LNS = load_LE.unflatten(1, (EXPERTS.copies, EXPERTS.slices))
    assert (copies_LNS == copies_LNS[..., :1]).all(), "a token chose slices of two copies"
    assert (copies_LNS[..., 0] > 0.2 * 4 * 48).all(), "a copy hardly works"


def test_a_width_that_slices_do_not_divide_is_filled_with_neurons_that_do_nothing() -> None:
    model = dense(kv_heads=1)
    c, w = replace(model.config, ffn=120), model.weights
    halves = [weight.unflatten(0, (2, 128))[:, :120].flatten(0, 1) for weight in w.gate_up]
    model = DenseModel(c, replace(w, gate_up=halves, down=[weight[:, :120] for weight in w.down]))
    assert missed(model, sizes(components=1)) < 1e-8


def test_biases_and_norms_of_heads_are_folded_in_as_far_as_a_matrix_can() -> None:
    """Random inputs are a hard case: they have no direction that is nearly constant but their common mean."""
    for model in (dense(kv_heads=1, bias=0.5), dense(kv_heads=1, norms=True)):
        w = model.weights
        without = DenseModel(model.config, replace(w, qkv_bias=[], q_norm=[], k_norm=[]))
        wanted = model.logits(tokens(3)).log_softmax(-1)
        dropped = without.logits(tokens(3)).log_softmax(-1)
        assert missed(model, sizes(components=1)) < 0.7 * float((wanted.exp() * (wanted - dropped)).sum(-1).mean())


def test_each_slot_holds_one_component_and_the_first_is_exact() -> None:
    for components in (1, 2, 3, 5):
        taken = slots(8, components)
        assert sorted(taken.flatten().tolist()) == list(range(8 * components))
        assert taken[:, 0].tolist() == [components * pair for pair in range(8)]


def test_the_latent_has_the_size_of_the_layers_input() -> None:
    model = dense(base=10_000.0)
    found = statistics(model)
    network = convert(model, found, sizes(latent=40), seed=0)
    for layer, own in zip(network.model.layers, found, strict=True):
        gain_K = layer.self_attn.kv_a_layernorm.weight  # type: ignore[union-attr]
        torch.testing.assert_close(float(gain_K.detach().square().mean()), float(own.moment_CC.diagonal().mean()))


def test_the_same_text_gives_the_same_bytes() -> None:
    model = dense()
    first, second = (convert(model, statistics(model), sizes(), seed=5).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (sizes(components=3), "components: 3; the dense network has 2 key heads"),
        (sizes(components=2, spare=0), "spare: 0"),
        (sizes(first_dense=9), "first_k_dense_replace: 9 of 3 layers"),
    ],
)
def test_sizes_that_can_not_be_are_one_line(wrong: UpcycleSizes, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        upcycled_config(dense(), wrong)
    assert line in str(caught.value)


def test_transformers_computes_the_same_from_the_folder(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from k2model.formats.checkpoint import save_checkpoint

    network = convert(dense(base=500.0), statistics(dense(base=500.0)), sizes(), seed=0)
    save_checkpoint(network, tmp_path / "base")
    with torch.no_grad():
        theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)(tokens(6)).logits
        assert (theirs - network(tokens(6)).logits_BLV).abs().max() < 1e-3
