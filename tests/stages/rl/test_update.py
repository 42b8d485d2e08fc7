import pytest

from stages.posttraining.packing import Example
from stages.rl.rollout import Rollout
from stages.rl.update import Group, micro_batches


def _group(k: int) -> Group:
    rollouts = []
    for number in range(2):
        rollout = Rollout(f"{k}/{number}", "parity", k, 9)
        rollout.add([1, 2, 3])
        rollout.add([4 + number, 5], [-0.1, -0.2])
        rollouts.append(rollout)
    return Group(rollouts, [1.0, 0.0], 1.0)


@pytest.mark.parametrize("examples", [0, 1, 2, 3, 7])
def test_every_micro_batch_calls_the_network_equally_often(examples: int) -> None:
    some = [Example([1, 2, 3 + k], [True] * 3) for k in range(examples)]
    micros = micro_batches([_group(k) for k in range(4)], 4, 0, some, some, 64)
    assert {micro.ptx is None for micro in micros} == {examples == 0}
    assert {micro.critic is None for micro in micros} == {examples == 0}
    targets = sum(int((micro.ptx.targets_BL != -100).sum()) for micro in micros if micro.ptx is not None)
    assert targets >= sum(example.targets for example in some)
