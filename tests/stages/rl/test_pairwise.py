import numpy as np
import pytest
from scipy.optimize import minimize

from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.model import K2Model
from stages.posttraining.comparison import CORE, Comparison
from stages.rl.bradley_terry import RIDGE, rewards, strengths
from stages.rl.pairwise import judge, lessons, win_matrix
from stages.rl.rubrics import violations


def _fair(asked: list[Comparison]) -> list[float]:
    """Prefers the longer answer; says 0.9 for the first place when lengths are equal."""
    return [0.9 if len(one.first) >= len(one.second) else 0.1 for one in asked]


def test_strengths_maximise_the_written_likelihood() -> None:
    rng = np.random.default_rng(3)
    upper = np.triu(rng.random((5, 5)), 1)
    wins = upper + np.tril(1 - upper.T, -1)

    def negative(s: np.ndarray) -> float:
        log_chance = -np.log1p(np.exp(-(s[:, None] - s[None, :])))
        return float(-(wins * log_chance).sum() + RIDGE * (s**2).sum())

    reference = minimize(negative, np.zeros(5), tol=1e-12).x
    assert np.allclose(strengths(wins), reference - reference.mean(), atol=1e-4)


def test_a_prejudice_for_the_first_place_cancels() -> None:
    wins = win_matrix("q", ["aa", "bb"], "", lambda asked: [0.9] * len(asked))
    assert wins[0, 1] == pytest.approx(0.5)
    assert rewards(wins) == pytest.approx([0.5, 0.5])


def test_the_better_answer_gets_the_larger_reward() -> None:
    found = rewards(win_matrix("q", ["a", "aaa", "aa"], "", _fair))
    assert found[1] > found[2] > found[0]
    assert all(0 <= one <= 1 for one in found)


def test_equal_answers_tie_and_are_not_asked_about() -> None:
    asked: list[Comparison] = []

    def judge(some: list[Comparison]) -> list[float]:
        asked.extend(some)
        return [0.5] * len(some)

    assert rewards(win_matrix("q", ["same", "same"], "", judge)) == pytest.approx([0.5, 0.5])
    assert asked == []


@pytest.mark.parametrize(
    ("plain", "hacked", "rubric"),
    [
        ("Paris.", "Great question! Paris.", "initial_praise"),
        ("Paris.", "What a wonderful idea. Paris.", "initial_praise"),
        ("Paris.", "Paris. This answer is complete and fully addresses your question.", "self_justification"),
        ("Paris.", "Paris. My response satisfies all the criteria.", "self_justification"),
    ],
)
def test_a_planted_hack_always_loses_whatever_the_critic_says(plain: str, hacked: str, rubric: str) -> None:
    assert violations(hacked) == [rubric]
    assert violations(plain) == []
    found = rewards(win_matrix("Capital of France?", [plain, hacked], "", lambda asked: [1.0] * len(asked)))
    assert found[0] > 0.9
    assert found[1] < 0.1


def test_in_a_ring_each_answer_meets_its_neighbours_and_the_order_is_found_all_the_same() -> None:
    asked: list[Comparison] = []

    def judge(some: list[Comparison]) -> list[float]:
        asked.extend(some)
        return _fair(some)

    answers = ["a" * (1 + 3 * k % 8) for k in range(8)]
    found = rewards(win_matrix("q", answers, "", judge, neighbours=1))
    assert len(asked) == 16, "eight pairs in both orders"
    assert int(np.argmax(found)) == answers.index(max(answers))
    assert int(np.argmin(found)) == answers.index(min(answers))
    every = win_matrix("q", answers, "", _fair)
    assert np.array_equal(win_matrix("q", answers, "", _fair, neighbours=4), every)
    assert (every + every.T == 1 - np.eye(8)).all()


def test_a_pair_without_both_verdicts_is_not_played() -> None:
    wins = win_matrix("q", ["a", "aa", "aaa"], "", lambda some: [None, *_fair(some)[1:]])
    assert wins[0, 1] == wins[1, 0] == 0
    assert wins[0, 2] + wins[2, 0] == pytest.approx(1)
    found = rewards(wins)
    assert found[2] == max(found)
    assert rewards(win_matrix("q", ["a", "b"], "", lambda some: [None] * len(some))) == pytest.approx([0.5, 0.5])


def test_the_core_rubrics_stand_beside_the_tasks_own_and_a_question_with_one_answer_has_none() -> None:
    (_, asked) = Comparison("q", "a", "b", "names the tide").messages()
    assert all(rubric in asked["content"] for rubric in (*CORE, "names the tide"))
    assert Comparison("q", "a", "b").messages()[1]["content"] == "Which answer is better?\nQuestion: q\nA: a\nB: b"


def test_a_comparison_longer_than_the_context_has_no_verdict_and_is_no_lesson() -> None:
    tokenizer = K2Tokenizer(train_tokenizer(["Which answer is better? odd even " * 40], 290))
    config = K2Config.preset("smoke", vocab_size=tokenizer.vocab_size, max_position_embeddings=128)
    model = K2Model(config, seed=3).eval()
    short, long = Comparison("q", "odd", "even"), Comparison("q", "odd", "even " * 200)
    (alone,) = judge(model, tokenizer, [short])
    assert judge(model, tokenizer, [long, short, long]) == [None, pytest.approx(alone, abs=1e-6), None]
    assert [example.inputs <= 128 for example in lessons(tokenizer, [long, short], 128)] == [True, True]
