import random
from dataclasses import replace

import pytest

from gym.decontaminate import Index, clean_tasks, decontaminate, ngrams, said
from gym.tasksets.elementary import Elementary

QUESTION = "a very particular question about seven blue owls in the northern forest"


def test_overlap_with_a_benchmark_is_dropped_and_counted() -> None:
    index = Index(n=5)
    assert index.add("bench", [QUESTION, "too short"]) > 0
    texts = ["nothing in common with it at all here", f"prefix words {QUESTION.upper()} suffix", "seven blue owls"]
    report = decontaminate(texts, index)
    assert report.kept == [0, 2]
    assert report.dropped == {"bench": 1}


def test_punctuation_and_line_ends_do_not_hide_an_overlap() -> None:
    index = Index(n=5)
    index.add("bench", [QUESTION])
    assert index.overlap("A very,\nparticular -- question: about") == "bench"


def test_it_agrees_with_sets_of_words() -> None:
    rng = random.Random(4)
    words = [f"w{k}" for k in range(6)]
    for n in (2, 3, 5):
        bench = [[rng.choice(words) for _ in range(rng.randint(8, 14))] for _ in range(3)]
        index = Index(n=n)
        index.add("bench", [" ".join(one) for one in bench])
        known = {tuple(one[k : k + n]) for one in bench for k in range(len(one) - n + 1)}
        for _ in range(100):
            text = [rng.choice(words) for _ in range(rng.randint(n, 12))]
            wanted = any(tuple(text[k : k + n]) in known for k in range(len(text) - n + 1))
            assert (index.overlap(" ".join(text)) is not None) is wanted


@pytest.mark.parametrize("text", ["", " \n", "!!! ..."])
def test_a_text_without_words_has_no_overlap(text: str) -> None:
    index = Index()
    assert index.add("bench", [text, QUESTION]) == 1
    assert list(ngrams(text)) == []
    assert index.overlap(text) is None


def test_the_first_benchmark_that_has_a_gram_is_named() -> None:
    index = Index(n=5)
    first, second = index.add("one", [QUESTION]), index.add("two", [QUESTION])
    assert (first > 0, second) == (True, 0)
    assert decontaminate([QUESTION, QUESTION], index).dropped == {"one": 2}


def test_generated_questions_count_as_a_whole() -> None:
    index = Index(n=5)
    index.add("made", ["Is 7 even or odd?", "Say whether the number 12 is even or odd now."], whole=True)
    assert index.overlap("is 7 EVEN, or odd") == "made"
    assert index.overlap("First: is 7 even or odd?") is None  # five words are too common to be looked for inside
    assert index.overlap("First: say whether the number 12 is even or odd now. Then stop.") == "made"
    assert decontaminate([["Is 7 even or odd?", "odd"], ["Is 8 even or odd?", "even"]], index).kept == [1]
    assert index.overlap("Say whether the number 13 is even or odd now.") is None  # the same sentence, another number
    assert index.overlap("") is None
    again = Index.of(index.rows())
    assert again.overlap("Is 7 even or odd?") == "made"


def test_tasks_that_a_benchmark_has_are_dropped_and_counted() -> None:
    index = Index()
    index.add("bench", [QUESTION])
    tasks = Elementary("parity").tasks(4, 1)
    held = replace(tasks[1], messages=({"role": "user", "content": f"Please: {QUESTION}?"},))
    kept, dropped = clean_tasks([tasks[0], held, tasks[2]], index)
    assert kept == [tasks[0], tasks[2]]
    assert dropped == {"bench": 1}
    told = [{"role": "tool", "content": QUESTION}, {"role": "assistant", "content": None}]
    assert said(told) == []


@pytest.mark.parametrize("text", [QUESTION, f"before that: {QUESTION}", f"{QUESTION} and after", f"a very {QUESTION}"])
def test_a_short_question_is_found_anywhere_in_a_text(text: str) -> None:
    index = Index(n=20)
    index.add("bench", [QUESTION])
    for one in (index, Index.of(index.rows())):
        assert one.overlap(text) == "bench"
        assert one.overlap(text.replace("northern", "southern")) is None
        assert one.overlap(QUESTION.rpartition(" ")[0]) is None
