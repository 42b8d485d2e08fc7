import numpy as np
import pytest

from agents.rephrase.fidelity import fidelity
from agents.rephrase.rewrite import Candidate, Rephrasing, RewriteJob, RewriteOptions
from experiments.rephrase_data import alternatives, arms
from experiments.rephrase_measure import choices, paired


def test_choices_against_every_draw_and_without_the_answers_own_likelihood() -> None:
    wins = np.eye(5) * 3
    likely_QA = np.array([0.0, -9.0, 4.0, 2.0, -1.0])  # of the answer anywhere: it must not matter
    assert choices(wins + likely_QA, 4) == [1.0] * 5
    assert choices(-wins + likely_QA, 4) == [0.0] * 5
    beaten_once = wins.copy()
    beaten_once[0, 1] = 9.0
    first, *others = choices(beaten_once, 3)
    assert first == pytest.approx(3 / 6), "of the pairs of four others, those without the one that is better"
    assert others[1:] == [1.0] * 3


def test_alternatives_are_the_passing_wordings_in_every_form() -> None:
    text = "Anna Berg was born in Oslo in 1901. She built 3 bridges over the Akerselva."
    chunks = ["Anna Berg was born in Oslo in 1901.", "She built 3 bridges over the Akerselva."]
    job = RewriteJob("d", "Anna Berg", text, "faq", "teacher", 0, 1)
    candidates = [
        Candidate(chunks[0], "Where was Anna Berg born?", ""),
        Candidate(chunks[0], "When was Anna Berg born?", ""),
        Candidate(chunks[1], "How many bridges?", ""),
        Candidate(chunks[1], "Who was Per Hansen?", "new name"),
    ]
    done = Rephrasing(job, text, fidelity(text, text), "", [0, 0], candidates)
    found = list(alternatives(done, RewriteOptions(candidates=2)))
    assert len(found) == len(set(found)) == 8, "two wordings in four forms"
    assert found[0] == f"Q: Where was Anna Berg born?\nA: {chunks[0]}\nQ: How many bridges?\nA: {chunks[1]}"
    assert "When was" in found[1] and not any("Hansen" in one for one in found)
    nothing = Rephrasing(job, text, fidelity(text, text), "", [-1, -1], candidates[3:] * 4)
    assert list(alternatives(nothing, RewriteOptions(candidates=2))) == []


def test_arms_have_equal_epochs_and_each_seed_its_own_single_rephrasing() -> None:
    rows = [{"doc_id": "a", "text": "raw a"}, {"doc_id": "b", "text": "raw b"}]
    texts = {"a": ["a0", "a1"], "b": ["b0", "b1"]}
    plan = arms(rows, texts, 2, seed=1)
    assert plan == {
        "raw": [["raw a", "raw b"]] * 2,
        "one": [["a1", "b1"]] * 2,
        "many": [["a0", "b0"], ["a1", "b1"]],
    }


def test_a_pair_is_judged_by_the_facts_that_both_answered() -> None:
    one, two = ([{"fact_id": str(k), "choice": value + 0.01 * k} for k in range(8)] for value in (0.2, 0.6))
    up, down = paired(one, two, "choice", 0), paired(two, one, "choice", 0)
    assert up["mean"] == pytest.approx(0.4) and up["ci"][0] > 0.39
    assert down["mean"] == pytest.approx(-0.4) and down["ci"][1] < -0.39
