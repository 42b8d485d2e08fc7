import random
from dataclasses import replace

import pytest

from gym.benchmarks.base import package_folder
from gym.benchmarks.open import open_benchmark
from gym.decontaminate import Index, clean_tasks, decontaminate, spoken_texts
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


@pytest.mark.parametrize(
    ("plain", "written"),
    [
        ("owls", "o\u00adwls"),
        ("owls", "ow\u200bls"),
        ("blue", "_blue_"),
        ("forest", "ｆｏｒｅｓｔ"),
        ("about", "\ufeffabout"),
    ],
)
def test_typography_does_not_hide_an_overlap(plain: str, written: str) -> None:
    index = Index()
    index.add("bench", [QUESTION])
    assert index.overlap(QUESTION.replace(plain, written)) == "bench"
    index.add("other", [QUESTION.replace("seven", "nine").replace(plain, written)])
    assert index.overlap(QUESTION.replace("seven", "nine")) == "other"


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


def test_an_index_that_was_read_finds_what_the_one_that_was_made_finds() -> None:
    rng = random.Random(5)
    words = [f"w{k}" for k in range(40)]
    bench = [" ".join(rng.choices(words, k=rng.randint(5, 60))) for _ in range(40)]
    made = Index()
    made.add("long", bench[:20])
    made.add("whole", bench[20:], whole=True)
    read = Index.of(made.rows())
    found = []
    for _ in range(400):
        own, other = rng.choice(bench).split(), rng.choices(words, k=30)
        begin, place = rng.choice([0, rng.randrange(len(own))]), rng.randrange(30)
        text = " ".join(
            other[:place] + own[begin : begin + rng.randint(3, 40)] + other[place : place + rng.randint(0, 9)]
        )
        found.append(made.overlap(text))
        assert read.overlap(text) == found[-1]
    assert min(found.count(name) for name in ("long", "whole", None)) > 10


@pytest.mark.parametrize("text", ["", " \n", "!!! ..."])
def test_a_text_without_words_has_no_overlap(text: str) -> None:
    index = Index()
    assert index.add("bench", [text, QUESTION]) == 1
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
    assert spoken_texts(told) == []


@pytest.mark.parametrize("text", [QUESTION, f"before that: {QUESTION}", f"{QUESTION} and after", f"a very {QUESTION}"])
def test_a_short_question_is_found_anywhere_in_a_text(text: str) -> None:
    index = Index(n=20)
    index.add("bench", [QUESTION])
    for one in (index, Index.of(index.rows())):
        assert one.overlap(text) == "bench"
        assert one.overlap(text.replace("northern", "southern")) is None
        assert one.overlap(QUESTION.rpartition(" ")[0]) is None


INSTRUCTIONS = "Please reason step by step, and put your final answer within \\boxed{}."
CHOICES = (
    "Answer the following multiple choice question. The last line of your response should be of the following format: "
    "'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think step by step before answering."
)
NOUNS = [
    "owls",
    "rivers",
    "bridges",
    "engines",
    "violins",
    "comets",
    "ladders",
    "gardens",
    "harbours",
    "letters",
    "kettles",
]


def _questions(count: int) -> list[str]:
    rng = random.Random(7)
    return [
        f"In {rng.choice(NOUNS)} near town {k} there are {rng.randint(100, 999)} {rng.choice(NOUNS)} and as many "
        f"{rng.choice(NOUNS)}; how many {rng.choice(NOUNS)} does the mayor of town {k} see on day {rng.randint(2, 9)}?"
        for k in range(count)
    ]


@pytest.mark.parametrize("count", [5, 30, 1300])
def test_a_text_that_quotes_the_instructions_of_a_benchmark_is_innocent(count: int) -> None:
    index = Index()
    questions = _questions(count)
    index.add("suffix", [f"{question} {INSTRUCTIONS}" for question in questions])
    index.add("prefix", [f"{CHOICES}\n{question}" for question in questions])
    innocent = [
        INSTRUCTIONS,
        CHOICES,
        f"Prompts often end so: {INSTRUCTIONS} {CHOICES} In our tests this helped much.",
        f"{CHOICES}\n\nIn which year was the bridge built? A) 1900 B) 1910 C) 1920 D) 1930",
        f"What does the mayor count on day 5? {INSTRUCTIONS}",
    ]
    assert [index.overlap(text) for text in innocent] == [None] * len(innocent)
    for again in (index, Index.of(index.rows())):
        for question in questions[:3]:
            assert again.overlap(f"A page of exercises. {question} The answer is 7.") == "suffix"
            assert again.overlap(f"{CHOICES}\n{question}") == "suffix"


def test_what_a_subject_shows_before_each_of_its_questions_is_template() -> None:
    questions = _questions(600)
    shown = {
        k: f"The following are multiple choice questions (with answers) about {NOUNS[k]}. {QUESTION}?"
        for k in range(10)
    }
    index = Index()
    index.add("mmlu", [f"{shown[k % 10]} {question}" for k, question in enumerate(questions)])
    assert index.overlap(f"{shown[3]} What is a river called?") is None
    assert index.overlap(questions[33]) == "mmlu"


def test_a_passage_that_a_few_items_share_is_no_template() -> None:
    passage = " ".join(f"sentence {k} of the passage about the history of {noun}" for k, noun in enumerate(NOUNS))
    index = Index()
    index.add("bench", [f"{passage} {q}" for q in _questions(5)] + _questions(400)[5:])
    assert index.overlap(f"Read this: {passage}") == "bench"


def test_a_question_too_short_without_its_template_is_found_as_it_is_asked() -> None:
    asked = [f"Is {k} a prime number? {INSTRUCTIONS}" for k in range(50)]
    index = Index()
    index.add("bench", asked)
    assert index.overlap(f"Someone copied this: {asked[7]} Yes.") == "bench"
    assert index.overlap(f"Is 7 a prime number? Yes. {INSTRUCTIONS}") is None


@pytest.mark.parametrize(
    "name", ["kite.fold_paper", "KiteFoldPaper", "kite_fold_paper", "fold-paper", "other.FoldPaper", "v2.fold paper"]
)
def test_a_function_is_found_in_whatever_case_separators_and_namespace(name: str) -> None:
    index = Index()
    assert index.add_tools("bench", ["Kite.fold_paper", "kite.foldPaper"]) == 2  # the whole name, and without kite
    index.add_tools("other", ["fold_paper"])
    for one in (index, Index.of(index.rows())):
        assert one.tool(name) == "bench"


@pytest.mark.parametrize("name", ["kite", "fold", "paper.fold", "kite.fold_paper2", "fold_paper.kite", "", "...", "折"])
def test_another_function_is_not(name: str) -> None:
    index = Index()
    index.add("bench", ["fold", QUESTION], whole=True)
    index.add_tools("bench", ["kite.fold_paper", "...", ""])
    assert index.tool(name) is None


def test_a_function_is_no_text_and_a_text_no_function() -> None:
    index = Index(n=1, shortest=1)
    index.add_tools("bench", ["owls"])
    assert index.overlap("owls") is None
    index.add("bench", ["rivers"])
    index.add("bench", ["engines"], whole=True)
    assert (index.tool("rivers"), index.tool("engines")) == (None, None)


def test_tasks_that_declare_a_function_of_a_benchmark_are_dropped_and_counted() -> None:
    index = Index()
    index.add("asks", [QUESTION])
    index.add_tools("declares", ["Kite.fold_paper"])
    one, two, three = Elementary("parity").tasks(3, 1)
    two = replace(two, tools=("spool", "fold_paper"))
    three = replace(three, messages=({"role": "user", "content": QUESTION},), tools=("spool",))
    assert clean_tasks([one, two, three], index) == ([one], {"asks": 1, "declares": 1})


@pytest.mark.parametrize(
    ("name", "package"), [("bfcl", "bfcl_eval"), ("bfcl_multi_turn", "bfcl_eval"), ("tau2_telecom", "tau2")]
)
def test_every_function_of_an_installed_benchmark_is_found_and_none_can_be_read(name: str, package: str) -> None:
    if package_folder(package) is None:
        pytest.skip(f"the package of {name} is not installed")
    bench, index = open_benchmark(name), Index()
    names = bench.tool_names()
    assert index.add_tools(name, names) >= len(names) / 2 > 0
    rows = index.rows()
    assert {(type(row["gram"]), row["benchmark"], row["words"]) for row in rows} == {(int, name, 0)}
    again = Index.of(rows)
    declared = {tool["function"]["name"] for item in bench.items() for tool in item.tools}
    asked = {tool["function"]["name"] for item in bench.items()[:20] for tool in next(bench.episode(item)).tools}
    assert {one for one in (*names, *declared, *asked) if again.tool(one.upper().replace("_", "-")) != name} == set()
    assert again.tool("a_name_that_no_benchmark_has") is None
