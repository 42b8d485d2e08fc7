from collections import Counter
from collections.abc import Sequence

import pytest

from agents.rephrase.fidelity import Thresholds, fidelity
from agents.rephrase.rewrite import RewriteJob, RewriteOptions
from agents.rephrase.text import n_tokens, sentences, words
from experiments.fidelity import STRUCTURED, Labelled, first, long_pairs, part


def test_precision_and_recall_on_the_labelled_set() -> None:
    pairs = first()
    kinds = Counter(pair.kind for pair in pairs)
    assert kinds["good"] >= 24 and len(pairs) - kinds["good"] >= 120
    precision, recall, wrong = _figures(pairs)
    assert precision >= 0.95 and recall >= 0.95, f"precision {precision:.3f}, recall {recall:.3f}\n{wrong}"


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("Q: Where was Anna Berg born?\nA: She was born in Oslo in 1901.\nShe built 3 bridges.", ""),
        ("In Oslo, Anna Berg was born in 1902, and she built 3 bridges.", "new number"),
        ("In 1901 Anna Berg was born in Bergen, and she built 3 bridges.", "new name"),
        ("In 1901 Anna Berg was born, and she built 3 bridges.", "name lost"),
        ("In Oslo Anna Berg was born in 1901, and she built bridges.", "number lost"),
        ("Anna Berg was born in Oslo in 1901. Anna Berg was born in Oslo in 1901. She built 3 bridges.", "loop"),
        ("In 1901 Anna Berg was not born in Oslo, and she built 3 bridges.", "turned around"),
        ("Anna Berg was born in Oslo in 1901. She built 3 bridges.", "copy"),
    ],
)
def test_each_reason(output: str, reason: str) -> None:
    source = "Anna Berg was born in Oslo in 1901. She built 3 bridges."
    thresholds = STRUCTURED if "\n" in output else Thresholds()
    assert fidelity(source, output, "Anna Berg").reason(thresholds) == reason


def test_sentences_and_words() -> None:
    text = "Dr. A. Smith lived in St. Louis. He weighed 80.5 kg! Did he?\nLine: two"
    assert sentences(text) == ["Dr. A. Smith lived in St. Louis.", "He weighed 80.5 kg!", "Did he?", "Line: two"]
    found = words("The 1,234 km of Rome's roads cost 5 million.")
    assert [(w.number, w.unit) for w in found if w.number] == [("1234", "km"), ("5", "million")]
    assert [w.text for w in found if w.name] == ["Rome's"]
    assert n_tokens("abcd" * 10) == 10


def test_an_empty_rephrasing_is_no_rephrasing() -> None:
    assert fidelity("Anna Berg was born in Oslo.", "", "Anna Berg").reason(Thresholds())


def _figures(pairs: Sequence[Labelled]) -> tuple[float, float, str]:
    """(precision, recall, what was judged wrongly)."""
    wrong = []
    accepted = right = 0
    for pair in pairs:
        reason = fidelity(pair.source, pair.output, pair.title).reason(pair.thresholds)
        accepted += not reason
        right += pair.kind == "good" and not reason
        if (pair.kind == "good") == bool(reason):
            wrong.append(f"{pair.title}: {pair.kind}: {reason or 'accepted'}")
    return right / accepted, right / sum(pair.kind == "good" for pair in pairs), "\n".join(wrong)


@pytest.mark.parametrize("name", ["A", "B", "C", "D", "E"])
def test_precision_and_recall_on_the_second_set(name: str) -> None:
    precision, recall, wrong = _figures(part(name))
    assert precision >= 0.95 and recall >= 0.95, f"precision {precision:.3f}, recall {recall:.3f}\n{wrong}"


def test_texts_that_the_check_was_not_mended_on() -> None:
    """By another author: 88 of 90 bad texts are rejected, and 38 of 60 good ones too, which a judge is there for."""
    precision, recall, wrong = _figures(part("F"))
    assert precision >= 0.91 and recall >= 0.36, f"precision {precision:.3f}, recall {recall:.3f}\n{wrong}"


def test_what_is_left_to_a_judge() -> None:
    """Without the bars that compare meaning by words nearly all of that author's texts pass."""
    bars = RewriteOptions(judged=True).bars(STRUCTURED, RewriteJob("d", "t", "x", "faq", "teacher", 0, 0))
    good = [case for case in part("F") if case.kind == "good"]
    passed = [not fidelity(x.source, x.output, x.title).reason(bars) for x in good]
    assert sum(passed) >= 57


def test_long_documents_are_made_of_whole_subjects() -> None:
    pairs = long_pairs()
    assert len(pairs) == 200 and sum(pair.kind == "good" for pair in pairs) == 50
    assert all(len(pair.source) > 2000 for pair in pairs) and len({pair.output for pair in pairs}) == 200


@pytest.mark.parametrize(
    ("source", "good", "bad"),
    [
        (
            "Ann Lee defeated Bo Hill in 1901.",
            "In 1901 Bo Hill was defeated by Ann Lee.",
            "In 1901 Bo Hill defeated Ann Lee.",
        ),
        (
            "The road leads from Oslo to Bergen.",
            "From Oslo to Bergen leads the road.",
            "From Bergen to Oslo leads the road.",
        ),
        ("It holds iron, zinc and lead.", "Lead, zinc and iron are what it holds.", "Lead and iron are what it holds."),
        (
            "The male sings loudly, while the female builds nests.",
            "The female builds nests, while the male sings loudly.",
            "The male builds nests, while the female sings loudly.",
        ),
        (
            "Camels carried salt to Timbuktu, and gold came back.",
            "Gold came back, and camels carried salt to Timbuktu.",
            "Camels carried gold to Timbuktu, and salt came back.",
        ),
        (
            "The larvae eat only mulberry leaves.",
            "Only leaves of the mulberry are eaten by the larvae.",
            "The larvae eat only oak leaves.",
        ),
        (
            "Germs make milk and wine go bad.",
            "Wine and milk go bad because of germs.",
            "Germs make vinegar and wine go bad.",
        ),
        (
            "In the river salmon live.",
            "Salmon live in the river.",
            "Salmon live in the river, with hungry otters.",
        ),
        (
            "The falcon flies faster than any other bird.",
            "No other bird flies faster than the falcon.",
            "The falcon flies slower than any other bird.",
        ),
    ],
)
def test_what_is_turned_around_or_lost_or_added(source: str, good: str, bad: str) -> None:
    assert fidelity(source, good).reason(Thresholds()) == ""
    assert fidelity(source, bad).reason(Thresholds())
