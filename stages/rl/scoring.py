"""The scoring half of an iteration: verifiers and the policy's own comparisons become rewards, with K2's controls."""

from collections.abc import Sequence

from stages.posttraining.comparison import Comparison
from stages.posttraining.params import CALLING
from stages.rl.bradley_terry import rewards
from stages.rl.pairwise import Judge, win_matrix
from stages.rl.params import RlParams
from stages.rl.rewards import Parts, Toggle, budget_from, length_rewards
from stages.rl.sampling import Finished
from stages.rl.state import State
from stages.rl.tasks import OPEN


def score(group: Finished, state: State, p: RlParams, judge: Judge) -> list[Parts]:
    """Rewards of one group's rollouts; how its task fared is noted in its pool.

    Args:
        judge: the critic; it ranks the answers to open prompts.
    """
    if group.family == OPEN:
        wins = win_matrix(group.question, group.answers, group.task.payload["rubric"], judge, p.critic.neighbours)
        scores = [float(reward) for reward in rewards(wins)]
    else:
        known = [verdict.score for verdict in group.verdicts if verdict.score is not None]
        state.pools[group.family].record(group.rollouts[0].prompt, state.iteration, known)
        # A verifier's error says nothing about the answer: the rollout gets the group's mean.
        mean = sum(known) / len(known) if known else 0.0
        scores = [mean if verdict.score is None else verdict.score for verdict in group.verdicts]
    parts = [Parts(task=value) for value in scores]
    lengths = [rollout.spent for rollout in group.rollouts]
    if p.length_reward > 0:
        correct = [value > 0.5 for value in scores]
        for part, extra in zip(parts, length_rewards(lengths, correct), strict=True):
            part.length = p.length_reward * extra
    if p.toggle.every > 0 and group.family != OPEN:
        _toggle(parts, scores, lengths, state, p)
    for part, rollout in zip(parts, group.rollouts, strict=True):
        if rollout.stop == "budget":
            part.budget = -p.budget.penalty
        if rollout.loops:
            part.repeat = -p.repeat_penalty
    return parts


def _toggle(parts: Sequence[Parts], scores: Sequence[float], lengths: Sequence[int], state: State, p: RlParams) -> None:
    right = [length for length, value in zip(lengths, scores, strict=True) if value > 0.5]
    if state.toggle_budget == 0 and right:
        state.toggle_budget = budget_from(right, p.toggle.percentile)
    toggle = Toggle(p.toggle.every, p.toggle.accuracy, state.toggle_budget)
    accuracy = sum(scores) / len(scores)
    for part, length in zip(parts, lengths, strict=True):
        if not toggle.keeps(state.iteration, accuracy, length):
            part.task = 0.0


def outcomes(group: Finished) -> list[Comparison]:
    """What a verifiable group teaches the critic: its right answer, first, against each different wrong one."""
    if group.family in (OPEN, *CALLING):
        return []
    pairs = zip(group.answers, group.verdicts, strict=True)
    answered = [(text, verdict.score) for text, verdict in pairs if text]
    right = next((text for text, value in answered if value == 1.0), None)
    if right is None:
        return []
    wrong = dict.fromkeys(text for text, value in answered if value == 0.0)
    return [Comparison(group.question, right, text) for text in wrong]
