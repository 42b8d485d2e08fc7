"""What is read out of an answer: the lenient reading, and beside it the official rule to the letter."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym.benchmarks import extract
from gym.benchmarks.base import Reply
from gym.benchmarks.open import open_benchmark


@pytest.mark.parametrize(
    "text",
    [
        "B", " B\n", "B.", "(B)", "[B]", "B)", "**B**", "*B*", "__B__", "`B`", "$B$", "\\(B\\)", "\\text{B}",
        "\\boxed{B}", "\\boxed{\\text{B}}", "\\boxed{\\textbf{(B)}}", "\\boxed{(B)\\ 42}",
        "\\[\\boxed{\\mathrm{B}}\\]",
        "$\\boxed{\\text{B}}$", "B) 42", "B. Paris", "(B) the second", "The answer is B.", "The answer is **B**.",
        "The answer is (B).", "The answer is: **(B)** 42", "The correct answer is (B) because A is wrong.",
        "Answer: B",
        "Answer: **B**", "**Answer:** B", "**Answer: B**", "Answer: $B$", "Answer: $\\boxed{B}$", "answer: b",
        "Answer: [B]",
        "Answer: B) 3", "Answer: B. Because it is.", "Answer: B \\boxed{}", "Final answer: option B",
        "Correct choice: B",
        "Option B is correct", "So it is long.\n\nB", "The answer is not A, it is B.", "A good question: it is B",
        "A good question: it is B.", "B\n\nThat follows from the second law.",
    ],
)  # fmt: skip
def test_a_letter_is_read_in_every_usual_form(text: str) -> None:
    assert extract.choice(text) == "B"


@pytest.mark.parametrize(
    "text",
    [
        "A good question.", "A plane flies.", "The answer is a number.", "Because of this", "CAB",
        "The answer is DNA.",
        "Answer: E", "b is small", "I do not know", "", "\\boxed{}", "Answer: A good one", "Both A and B may be true",
        "A) 1\nB) 2\nC) 3\nD) 4\n\nI do not know.", "Option A is wrong.", "Option A isn't right.",
    ],
)  # fmt: skip
def test_an_article_or_a_word_is_no_letter(text: str) -> None:
    assert extract.choice(text) == ""


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("Option A is wrong, so B.", "B"), ("C is correct.", "C"), ("**C** is the correct answer", "C"),
        ("So A is the answer.", "A"), ("A is correct because the rest is wrong", "A"), ("B because A is wrong", "B"),
        ("Hence, (D).", "D"), ("That leaves D.", "D"), ("I think it's (B)", "B"), ("⇒ D", "D"), ("B – Paris", "B"),
        ("It can't be A. It can't be B. So it's D.", "D"), ("The answer isn't B; it's C", "C"),
        ('The answer is "B".', "B"), ("The answer is 'B'.", "B"), ("The answer is “B”.", "B"),
        ('{"answer": "B"}', "B"), ("<answer>C</answer>", "C"), ("Answer - C", "C"), ("Correct: B", "B"),
        ("答案：C", "C"), ("答案是C。", "C"), ("Ｂ", "B"), ("The answer is (C) and (D) is wrong", "C"),
        ("Answer: B or C", ""), ("The answer is A and B", ""), ("The answer is (A)/(B)", ""), ("It cannot be A.", ""),
        ("A + B → C.", ""), ("If A is correct then it fails.", ""), ("Body B is right of A.", ""),
        ("A is true, B is false.", ""), ("so A and B.", ""), ("A is not correct.", ""), ("D is right-handed.", ""),
    ],
)  # fmt: skip
def test_a_letter_is_read_where_a_sentence_settles_on_it_and_not_where_it_denies_or_shares_it(
    text: str, letter: str
) -> None:
    assert extract.choice(text) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [("A", "A"), ("A.", "A"), ("A) one", "A"), ("The answer is A.", "A"), ("Answer: A because", "A")],
)
def test_a_is_a_letter_where_it_is_no_article(text: str, letter: str) -> None:
    assert extract.choice(text) == letter


@pytest.mark.parametrize(
    ("text", "official", "first"),
    [
        ("Answer: B", "B", ""), ("answer: b", "b", ""), ("Answer: $B$", "B", ""), ("Answer: **B**", "", ""),
        ("**B**", "", ""), ("The answer is B.", "", ""), ("Answer: C, no, Answer: B", "C", ""), ("Answer:\nB", "", ""),
        (" B\n\nQuestion", "", "B"), ("B. Paris", "", "B"), ("A good question: it is B", "", "A"), ("Both", "", ""),
    ],
)  # fmt: skip
def test_the_official_readings_of_gpqa_and_mmlu_are_kept_to_the_letter(text: str, official: str, first: str) -> None:
    assert extract.official_choice(text) == official
    assert extract.first_choice(text) == first


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("\\boxed{2,5}", ""), ("\\boxed{(1,2,3)}", ""), ("(1,2,3)", ""), ("The answer is (1,2,3).", ""), ("33.5", ""),
        ("The answer is 33.5.", ""), ("3/4", ""), ("\\boxed{\\dfrac{3}{4}}", ""), ("\\boxed{3.5}", ""),
        ("so \\boxed{70} and \\boxed{}", "70"), ("so \\boxed{70} and \\boxed{ }.", "70"),
        ("\\boxed{70} \\boxed{\\text{}}", "70"),
        ("204.0", "204"), ("\\boxed{204.0}", "204"), ("\\boxed{70\\text{ cm}^2}", "70"), ("\\boxed{1{,}000}", "1000"),
        ("\\boxed{1\\,000}", "1000"), ("\\boxed{1 000}", "1000"), ("1,000", "1000"), ("\\boxed{\\$70}", "70"),
        ("\\$70", "70"),
        ("\\boxed{70^\\circ}", "70"), ("\\boxed{70^{\\circ}}", "70"), ("x=70", "70"), ("\\boxed{x=70}", "70"),
        ("\\boxed{m+n = 3 + 67 = 70}", "70"), ("\\boxed{(70)}", "70"), ("\\boxed{\\textbf{70}}", "70"),
        ("\\boxed{70\\%}", "70"),
        ("\\boxed{\\frac{140}{2}}", "70"), ("\\boxed{70\\text{ square units}}", "70"),
        ("\\boxed{70\\,\\mathrm{m/s}}", "70"),
        ("\\boxed 70", "70"), ("\\fbox{70}", "70"), ("\\boxed{70.}", "70"),
        ("\\boxed{\\text{The answer is } 70}", "70"),
        ("\\boxed{-5}", "-5"), ("\\boxed{−5}", "-5"), ("\\boxed{042}", "42"), ("\\boxed{70", "70"),
        ("**205**.", "205"),
        ("\\boxed{３７}", "37"), ("7 or 8, so 15", "15"), ("The answer is 12, since 6 and 7 make 13.", "12"),
        ("\\boxed{3\\pi}", ""), ("\\boxed{3x}", ""), ("\\boxed{\\sqrt{3}}", ""), ("\\boxed{2\\sqrt3}", ""),
        ("\\boxed{7!}", ""),
        ("\\boxed{2^{10}}", ""), ("\\boxed{3 \\text{ or } 4}", ""), ("\\boxed{n > 70}", ""),
        ("\\boxed{\\binom{5}{2}}", ""),
        ("N \\equiv 70 \\pmod{1000}", "70"), ("it is ≡ 70 (mod 1000).", "70"), ("\\boxed{70 \\pmod{1000}}", "70"),
        ("\\boxed{+70}", "70"), ("The answer is +70", "70"), ("\\boxed{–5}", "-5"), ("The answer is – 5", "-5"),
        ("\\boxed{¥70}", "70"), ("\\boxed{\\color{red}{70}}", "70"), ("The answer is 3x.", ""),
        ("\\boxed{3-5}", ""), ("\\boxed{3:5}", ""), ("\\boxed{\\{1,2\\}}", ""), ("\\boxed{\\pm 5}", ""), ("1,23", ""),
    ],
)  # fmt: skip
def test_one_whole_number_is_read_and_nothing_else_is_taken_for_one(text: str, value: str) -> None:
    assert extract.whole_number(text) == value


@pytest.mark.parametrize(
    ("text", "strict", "flexible"),
    [
        ("#### 18", "18", "18"), ("#### 1,200", "1200", "1200"), ("#### -3", "-3", "-3"),
        ("#### 18.00", "18.00", "18"),
        ("#### 18.", "18.", "18"), ("#### $18", "", "18"), ("####18", "", "18"), ("#### **18**", "", "18"),
        ("#### 18 apples", "18", "18"), ("so 18 dollars", "", "18"), ("\\boxed{18}", "", "18"),
        ("The answer is $18.", "", "18"),
        ("#### 1/2", "1", "0.5"), ("#### 2.50", "2.50", "2.5"), ("#### 5\n#### 6", "5", "6"), ("none", "", ""),
        ("", "", ""),
        ("#### x = 18", "", "18"), ("\\boxed{1{,}200}", "", "1200"), ("it is 0.50", "", "0.5"), ("12 - 5", "", ""),
        ("The answer is _18_.", "", "18"), ("It is __$18__", "", "18"), ("The answer is 18!", "", "18"),
        ("**18!**", "", "18"), ("x_1 = 18", "", "18"), ("It is 18!3", "", ""),
    ],
)  # fmt: skip
def test_gsm8k_is_read_strictly_as_official_and_flexibly_apart(text: str, strict: str, flexible: str) -> None:
    assert extract.gsm8k(text, strict=True) == strict
    assert extract.gsm8k(text, strict=False) == flexible


# (text, whether lm_eval 0.4.13's tasks/aime/utils.py finds 204 in it), computed with that file
LM_EVAL_AIME = [
    ("\\boxed{204}", 1), ("The answer is 204.", 0), ("$204$", 1), ("so $x=3$ and $\\boxed{204}$", 1),
    ("\\boxed{204.0}", 0),
    ("\\boxed{204^\\circ}", 1), ("\\boxed{204^{\\circ}}", 1), ("\\boxed{204\\text{ cm}}", 1),
    ("\\boxed{204\\text{cm}}", 0),
    ("\\boxed{x=204}", 1), ("\\boxed{m+n=204}", 0), ("\\boxed 204", 1), ("\\boxed 204$ yes", 1),
    ("\\fbox{204}", 0), ("204", 1),
    ("  204 ", 1), ("$$204$$", 0), ("\\[204\\]", 0), ("\\boxed{\\$204}", 1), ("\\boxed{204\\%}", 1),
    ("\\boxed{204} \\boxed{}", 0),
    ("\\boxed{20\\!4}", 1), ("\\boxed{ 204 }", 1), ("\\boxed{0204}", 0), ("$x=204$", 1), ("$N=2^2=204$", 0),
    ("=204", 1),
    ("xyz=204", 0), ("a $1$ b $204$", 0), ("\\boxed{204", 0), ("$204", 0), ("\\boxed{{204}}", 0),
    ("$\\boxed{204}$ and $5$", 1),
    ("\\boxed{3} then \\boxed{204}", 1), ("\\boxed{2,04}", 0), ("\\boxed{\\text{ 204}}", 0),
    ("\\boxed{\\textbf{204}}", 0),
    ("204\n", 1), ("\\boxed{408/2}", 0), ("\\boxed{\\left(204\\right)}", 0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "right"), LM_EVAL_AIME)
def test_the_official_reading_of_aime_is_lm_evals(text: str, right: int) -> None:
    assert (extract.official_aime(text) == "204") is bool(right)


@pytest.mark.parametrize(
    ("name", "lenient", "official", "both", "key"),
    [
        ("gpqa_diamond", "**{}**", "Answer: {}", "official", "letter"),
        ("arithmetic_mc", "The answer is {}.", " {}", "official", "letter"),
        ("competition_templates", "The answer is {}.", "\\boxed{{{}}}", "official", "answer"),
    ],
)
def test_a_lenient_reading_counts_and_the_official_one_is_reported_apart(
    name: str, lenient: str, official: str, both: str, key: str
) -> None:
    bench = open_benchmark(name)
    sample = bench.items()[0]
    gold = sample.gold[key]
    rows = []
    for text, parts in ((lenient, 0.0), (official, 1.0), ("no idea", 0.0)):
        grade = bench.grade(sample, Reply(text.format(gold)))
        assert grade.result.score == float(text != "no idea")
        assert grade.parts[both] == parts
        rows.append({"group": "g", "score": grade.result.score, "parts": grade.parts})
    assert bench.summary(rows)[both] == pytest.approx(1 / 3)


def test_gsm8ks_score_is_official_and_the_flexible_one_has_its_own_name() -> None:
    bench = open_benchmark("gsm8k")
    sample = bench.items()[0]
    gold = sample.gold["answer"]
    grades = [
        bench.grade(sample, Reply(text)) for text in (f"#### {gold}", f"#### {gold}.00", f"It is ${gold}.", "#### x")
    ]
    assert [grade.result.score for grade in grades] == [1.0, 0.0, 0.0, 0.0]
    assert [grade.parts["flexible"] for grade in grades] == [1.0, 1.0, 1.0, 0.0]
    rows = [{"parts": grade.parts} for grade in grades]
    assert bench.summary(rows) == {"flexible": 0.75}


MARKS = st.sampled_from(
    [
        "\\boxed{",
        "}",
        "{",
        "$",
        "\\frac",
        "1",
        "2,5",
        "Answer:",
        "####",
        " ",
        "A",
        "B",
        "\\",
        "^",
        "/",
        ".",
        "-",
        "(",
        ")",
        "\n",
        "e9",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=80), st.lists(MARKS, max_size=40).map("".join)))
def test_no_text_breaks_a_reading(text: str) -> None:
    for read in (
        extract.choice,
        extract.official_choice,
        extract.first_choice,
        extract.whole_number,
        extract.official_aime,
    ):
        assert isinstance(read(text), str)
    for strict in (True, False):
        assert isinstance(extract.gsm8k(text, strict=strict), str)
    assert extract.choice(text) in ("", "A", "B", "C", "D")


@pytest.mark.parametrize(
    "piece",
    [
        "\\boxed{",
        "{",
        "1",
        "1,",
        "(1,",
        "$1",
        "answer is ",
        "\\frac{1",
        "^{ ",
        "A ",
        "1 000 ",
        "- ",
        "\\text{",
        "**",
        "####",
    ],
)
@pytest.mark.timeout(20)
def test_a_long_answer_is_read_in_time(piece: str) -> None:
    text = piece * (60_000 // len(piece))
    extract.whole_number(text)
    extract.official_aime(text)
    extract.gsm8k(text, strict=False)
    extract.choice(text)
