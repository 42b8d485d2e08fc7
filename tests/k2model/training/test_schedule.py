"""The learning rate of every step, and where phases begin and end."""

import math

import pytest

from k2model.errors import ConfigError
from k2model.training.schedule import Phase, Schedule

WSD = Phase("wsd", 10, 64, lr_start=0.02, lr_end=0.002, warmup_steps=4, decay_steps=3, bias_rate=0.001)
ANNEALING = Phase("annealing", 2, 64, lr_start=0.002, lr_end=0.001, decay_steps=2)
LONG = Phase("long", 3, 256, lr_start=0.001, lr_end=0.001, yarn_factor=4.0)


def test_wsd_is_a_ramp_a_plateau_and_a_cosine():
    rates = [WSD.lr(step) for step in range(WSD.steps)]
    assert rates[:4] == pytest.approx([0.005, 0.01, 0.015, 0.02])
    assert rates[4:7] == [0.02] * 3
    cosine = [0.002 + 0.009 * (1 + math.cos(math.pi * k / 3)) for k in (1, 2, 3)]
    assert rates[7:] == pytest.approx(cosine)
    assert rates[-1] == pytest.approx(0.002)


def test_phases_follow_each_other_and_keep_their_own_settings():
    schedule = Schedule([WSD, ANNEALING, LONG], 512)
    assert schedule.steps == 15
    found = [schedule.at(step) for step in range(schedule.steps)]
    assert [one.phase.name for one in found] == ["wsd"] * 10 + ["annealing"] * 2 + ["long"] * 3
    assert [one.step for one in found] == [*range(10), 0, 1, 0, 1, 2]
    assert [one.index for one in found] == [0] * 10 + [1] * 2 + [2] * 3
    assert found[11].lr == pytest.approx(0.001) and found[12].lr == 0.001
    assert {one.phase.bias_rate for one in found[10:]} == {0.0}
    assert found[12].phase.yarn_factor == 4.0 and found[12].phase.sequence_length == 256


def test_a_phase_without_steps_is_left_out():
    schedule = Schedule([WSD, Phase("annealing", 0, 64, 0.1, 0.1), LONG], 512)
    assert [phase.name for phase in schedule.phases] == ["wsd", "long"]
    assert schedule.at(10).phase.name == "long"


@pytest.mark.parametrize("step", [-1, 15])
def test_a_step_outside_the_schedule(step):
    with pytest.raises(IndexError, match="15"):
        Schedule([WSD, ANNEALING, LONG], 512).at(step)


def test_what_cannot_be_is_named():
    with pytest.raises(ConfigError, match="no steps"):
        Schedule([], 512)
    with pytest.raises(ConfigError, match="long: sequence_length 256 doesn't divide global_batch_tokens 320"):
        Schedule([WSD, LONG], 320)
    with pytest.raises(ConfigError, match="wsd: warmup_steps 4 \\+ decay_steps 3 exceed its 6 steps"):
        Phase("wsd", 6, 64, 0.1, 0.1, warmup_steps=4, decay_steps=3)
    with pytest.raises(ConfigError, match="negative"):
        Phase("wsd", -1, 64, 0.1, 0.1)
