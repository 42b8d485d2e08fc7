"""Real gloo processes: any number of ranks, experts spread or not, trains the same weights with less state each."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from k2model.config import K2Config
from k2model.formats.checkpoint import load_checkpoint, named_tensors
from k2model.model import K2Model
from k2model.training.muonclip import MuonClip
from tests import forked
from tests.k2model.training import train_ranks

# Only the order of float32 sums differs; Newton–Schulz amplifies it in directions of no gradient.
TOLERANCE = 1e-3


class Run:
    """`ranks` processes, `spread` of which share the experts."""

    def __init__(self, folder: Path, ranks: int, spread: int = 1) -> None:
        self.out = folder / f"of{ranks}-{spread}"
        each = [(rank, ranks, spread, f"{self.out}-store", str(self.out)) for rank in range(ranks)]
        forked.finish(forked.start(train_ranks.run, each, Path(f"{self.out}.log")))
        self.weights, self.state, self.facts = (
            [load_file(f"{self.out}-{rank}.{kind}") for rank in range(ranks)]
            for kind in ("safetensors", "state", "facts")
        )

    def together(self) -> dict[str, torch.Tensor]:
        """The whole network; what several ranks hold must be the same bits."""
        found: dict[str, torch.Tensor] = {}
        for weights in self.weights:
            for name, tensor in weights.items():
                assert torch.equal(found.setdefault(name, tensor), tensor), name
        return found

    def bytes(self) -> int:
        return max(int(facts["bytes"]) for facts in self.facts)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("one"), 1)


def agree(run: Run, one: Run) -> None:
    want, got = one.together(), run.together()
    assert got.keys() == want.keys()
    for name, tensor in want.items():
        a, b = tensor.double(), got[name].double()
        assert (a - b).norm() <= TOLERANCE * max(a.norm(), 1e-9), name
    for facts in run.facts:
        torch.testing.assert_close(facts["losses"], one.facts[0]["losses"], rtol=1e-4, atol=1e-6)
        assert int(facts["clipped"]) == int(one.facts[0]["clipped"]) > 0


@pytest.mark.slow
def test_one_two_and_four_ranks_train_the_same_weights(tmp_path, one):
    two, four = Run(tmp_path, 2), Run(tmp_path, 4)
    for run in (two, four):
        agree(run, one)
    assert two.bytes() < 0.6 * one.bytes() and four.bytes() < 0.6 * two.bytes()


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_expert_parallel_two_equals_one(tmp_path, one, ranks):
    """Three MuonClip steps, biases from global counts, QK-Clip; 4 ranks hold each expert twice."""
    run = Run(tmp_path, ranks, 2)
    agree(run, one)
    assert run.bytes() < 0.6 * one.bytes() * 2 / ranks
    half = [name for name in run.weights[1] if ".mlp.experts.4." in name]
    assert half and not any(name in run.weights[0] for name in half)
    # The exported checkpoint has the full layout and is read without expert parallelism.
    exported = dict(named_tensors(load_checkpoint(Path(f"{run.out}-hf"))))
    assert all(torch.equal(tensor, exported[name]) for name, tensor in run.together().items())
    # The optimizer's state goes on under any other spread.
    model = K2Model(K2Config.preset("smoke"), seed=1)
    optimizer = MuonClip(model.named_parameters(), lr=0.1)
    optimizer.load_state_tensors({k: v for state in run.state for k, v in state.items()}, 3)
    want = one.state[0]
    for key, tensor in optimizer.state_tensors().items():
        assert (tensor - want[key]).norm() <= 1e-2 * max(want[key].norm(), 1e-6), key
