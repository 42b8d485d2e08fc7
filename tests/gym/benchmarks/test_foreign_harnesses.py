"""lm_eval and inspect_ai over the same items and the same answers give our scores; each difference has its reason here.

Each is installed into an environment of its own; run by hand:

pytest -m drivers tests/gym/benchmarks/test_foreign_harnesses.py

No data set is fetched: items are those of the packages that the benchmarks read, and built-in ones in the official
schema. GPQA's rows hold a letter alone. `KNOWN` is what differs: a shape of an answer, on which side the score is
higher, and why. What differs and is not there fails, and so does what is there and differs no more.
"""

import json
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from gym.benchmarks.base import Manifest, Reply, Sample, builtin_manifest
from gym.benchmarks.gpqa import GpqaDiamond
from gym.benchmarks.gsm8k import Gsm8k
from gym.benchmarks.human_eval import HumanEval
from gym.benchmarks.ifeval import VerifiableInstructions
from gym.benchmarks.mmlu import ArithmeticMc, Mmlu, Row, SubjectQuestion
from gym.sandbox import open_sandbox
from gym.verifiers.checkers import IFEVAL
from k2model.chat.tokenizer import save_tokenizer
from k2model.formats.dense import DenseModel
from k2model.formats.dense_folder import load_dense
from stages.evaluate.loglikelihood import Reader, ask, log_likelihoods
from tests.environments import environment, run_there
from tests.gym.benchmarks.foreign_answers import GSM8K, HUMANEVAL, LETTERS
from tests.small_data import small_tokenizer

pytestmark = [pytest.mark.drivers, pytest.mark.timeout(3600)]
HERE = Path(__file__).parent
LM_EVAL = "lm_eval[ifeval]==0.4.13"
INSPECT = f"--requirement={HERE / 'drivers' / 'inspect.txt'}"

LAST_NUMBER = "it takes the last number of the text; we what stands behind `####`, in a box or behind `answer is`"
TWO_SIGNS = "two signs before a number, of an answer that is negative itself"
BASE_MODEL = "it is for base models: only what goes on from the prompt is read, up to a stop string"
BY_ANSWER = "it reads `ANSWER: LETTER` alone; the score counts a letter in any usual form, `_official` doesn't"
BY_BRACKETS = "it reads a letter in brackets or the choice's text; the score counts a letter in any usual form"
# comparison -> (why, on which side the score is higher, shapes of answers)
KNOWN: dict[str, list[tuple[str, str, list[str]]]] = {
    "lm_eval gsm8k strict": [
        ("it drops a full stop behind the number; GSM8K's own code, our rule, doesn't", "theirs",
         ["marked with a full stop"]),
    ],
    "lm_eval gsm8k flexible": [
        ("it compares text; we compare values", "ours",
         ["marked with cents", "marked with one zero", "a sentence with cents", "the bare number with cents",
          "spaces between thousands"]),
        ("it compares text; `00-10` is no number to us", "both", ["marked with leading zeros"]),
        (LAST_NUMBER, "ours",
         ["marked and more text", "a sentence that goes on with a number", "boxed and a number after it",
          "ANSWER line, then a note", "marked as an exponent", "marked as a fraction", "a fraction of one", "a range"]),
        ("its pattern takes `$.` for a number", "ours", ["boxed in dollars"]),
        ("its stop string `Question:` cuts the answer; a chat answer isn't cut", "theirs",
         ["marked and a next question"]),
        (TWO_SIGNS, "theirs", ["marked with a plus", "a negative wrong sign"]),
    ],
    "lm_eval humaneval": [
        (BASE_MODEL, "ours",
         ["the body in a block", "the whole in a block", "the whole in a block of no language",
          "the whole in a block of py", "the whole in a block of Python", "the whole behind prose",
          "the whole between prose", "the whole in a block without an end", "the whole bare",
          "the whole in a block and a usage", "a usage and the whole"]),
    ],
    "lm_eval humaneval_instruct": [
        ("it begins the block itself, so that a model only goes on from the prompt", "ours",
         ["the body in a block", "the whole in a block", "the whole in a block of no language",
          "the whole in a block of py", "the whole in a block of Python", "the whole behind prose",
          "the whole between prose", "the whole in a block without an end", "the whole bare",
          "the whole in a block and a usage", "a usage and the whole"]),
        ("it begins the block itself and cuts at its end", "theirs", ["the body and the end of a block"]),
    ],
    "lm_eval mmlu": [
        ("it drops signs around the letter; MMLU's own code compares the next token", "theirs",
         ["the letter in brackets", "the letter bold"]),
        ("it ignores case", "theirs", ["the letter small"]),
        ("it wants nothing beside the letter in the first line", "ours",
         ["the letter and its text", "the letter and a reason", "an article"]),
    ],
    "lm_eval gpqa": [
        (BY_BRACKETS, "ours",
         ["the letter", "the letter behind a space", "the letter and a full stop", "the letter and a bracket",
          "the letter bold", "the letter and its text", "the letter and a next question", "the letter and a reason",
          "answer:", "Answer: in dollars", "Answer: bold", "bold Answer:", "The answer is", "The correct answer is",
          "boxed", "boxed text", "option"]),
        ("it takes any letter in brackets", "theirs", ["the option in brackets within a sentence"]),
        ("`A it is` begins a sentence for us", "theirs", ["Answer: in a line"]),
    ],
    "inspect gsm8k": [
        ("it rounds to five digits, so that 1000003 is 1000000", "theirs",
         ["marked wrong", "marked wrong after the right value", "marked twice, right first",
          "a sentence with a wrong value", "the bare wrong number", "a list, wrong last", "ANSWER line, wrong"]),
        ("it parts words at blanks: what is glued to a number hides it", "ours",
         ["marked with percent", "marked without a space", "marked in a box", "marked as a fraction",
          "marked in another script", "a sentence with percent", "boxed", "boxed in dollars", "boxed with a unit",
          "boxed and a number after it", "an equation without spaces", "the number with a unit glued to it",
          "a range", "a fraction of one", "spaces between thousands"]),
        (LAST_NUMBER, "ours",
         ["marked and more text", "a sentence that goes on with a number", "ANSWER line, then a note"]),
        (TWO_SIGNS, "theirs", ["marked with a plus"]),
        (TWO_SIGNS, "ours", ["marked with the wrong sign"]),
    ],
    "inspect humaneval": [
        ("it reads ```python alone, the first of them, and cuts behind the first signature there", "ours",
         ["the body in a block", "the whole in a block of py", "the whole in a block of Python",
          "the whole in a block without an end", "a usage and the whole"]),
        ("exit status 0 is enough for it: a program that ends itself passes", "theirs",
         ["ends the process", "ends by sys.exit"]),
    ],
    "inspect mmlu": [
        (BY_ANSWER, "ours",
         ["the letter", "the letter behind a space", "the letter and a full stop", "the letter in brackets",
          "the letter and a bracket", "the letter bold", "the letter and its text",
          "the letter in brackets and its text", "the letter and a next question", "the letter and a reason",
          "bold Answer:", "Answer: in a line", "Answer: two letters", "The answer is", "The answer is in brackets",
          "The answer is, no full stop", "The correct answer is", "The correct answer is bold", "boxed", "boxed text",
          "option", "wrong named, right chosen"]),
        ("it takes the last answer; we the first line's: a base model goes on with questions of its own", "theirs",
         ["Answer: twice, right last"]),
        ("the same", "ours", ["Answer: twice, right first"]),
    ],
    "inspect gpqa": [
        ("it ignores case, brackets and bold type; simple-evals' pattern, our `_official`, doesn't", "theirs",
         ["answer:", "Answer: in brackets", "Answer: bold"]),
        ("it takes the last answer; simple-evals the first", "theirs", ["Answer: twice, right last"]),
        ("the same", "ours", ["Answer: twice, right first"]),
        ("it wants one letter and nothing behind it in the line", "ours", ["Answer: in a line", "Answer: two letters"]),
    ],
}  # fmt: skip


def gsm8k_cases() -> tuple[list[str], list[dict[str, Any]], list[Sample]]:
    """(shapes, rows in the official schema with an answer, our samples): each shape on answers of five forms."""
    bench = Gsm8k()
    forms = (lambda v: 0 <= v < 10, lambda v: 10 <= v < 100, lambda v: 1000 <= v < 10_000, lambda v: v > 10**6)
    pairs = list(zip(bench.rows, bench.items(), strict=True))
    chosen = [next(pair for pair in pairs if form(int(pair[1].gold["answer"]))) for form in forms]
    chosen.append(next(pair for pair in pairs if int(pair[1].gold["answer"]) < 0))
    cases: tuple[list[str], list[dict[str, Any]], list[Sample]] = ([], [], [])
    for shape, text in GSM8K.items():
        for row, sample in chosen:
            gold = int(sample.gold["answer"])
            reply = text.format(gold=gold, other=gold + 3, comma=f"{gold:,}", spaced=f"{gold:,}".replace(",", " "))
            for part, value in zip(cases, (shape, row | {"reply": reply}, sample), strict=True):
                part.append(value)
    return cases


def letter_cases() -> tuple[list[str], list[dict[str, Any]]]:
    """(shapes, rows with an answer) of a multiple-choice question; no question of a benchmark stands there."""
    shapes, rows = [], []
    for shape, text in LETTERS.items():
        for gold, other in ("AC", "BA", "DB"):
            reply = text.format(gold=gold, other=other, small=gold.lower())
            choices = ["alpha", "beta", "gamma", "delta"]
            row = {"question": "Which?", "Question": "Which?", "choices": choices, "subject": "s"}
            row |= {f"choice{number}": choice for number, choice in enumerate(choices, 1)}
            rows.append(row | {"letter": gold, "reply": reply})
            shapes.append(shape)
    return shapes, rows


def humaneval_cases() -> tuple[list[str], list[dict[str, Any]], list[Sample]]:
    bench = HumanEval()
    samples = bench.items()
    plain = [one for one in samples if one.gold["prompt"].count("\ndef ") + one.gold["prompt"].startswith("def ") == 1]
    imports = [one for one in plain if one.gold["prompt"].startswith("from typing")]
    cases: tuple[list[str], list[dict[str, Any]], list[Sample]] = ([], [], [])
    for shape, text in HUMANEVAL.items():
        for sample in (imports[0], next(one for one in plain if one not in imports)):
            row = dict(sample.gold)
            body, prompt = row["canonical_solution"], row["prompt"]
            reply = text.format(
                body=body, whole=prompt + body, whole_none=f"{prompt}    return None\n", name=row["entry_point"]
            )
            for part, value in zip(cases, (shape, row | {"reply": reply}, sample), strict=True):
                part.append(value)
    return cases


def ifeval_cases() -> tuple[list[str], list[dict[str, Any]], list[Sample]]:
    """Prompts that each of the 25 kinds leads, with the text that follows, the same spoiled in many ways, another's."""
    bench = VerifiableInstructions()
    samples = bench.items()[:25]
    spoiled: dict[str, Callable[[str], str]] = {
        "follows": lambda text: text,
        "nothing": lambda text: "",
        "other words": lambda text: "castle, mirror",
        "small": str.lower,
        "large": str.upper,
        "first line off": lambda text: text.partition("\n")[2],
        "last line off": lambda text: text.rpartition("\n")[0],
        "half": lambda text: text[: len(text) // 2],
        "twice": lambda text: f"{text}\n\n{text}",
        "preface": lambda text: f"Sure! Here it is:\n{text}",
        "closing": lambda text: f"{text}\nI hope that this helps.",
        "bold": lambda text: f"**{text}**",
        "commas": lambda text: text.replace(" ", ", "),
        "one line": lambda text: " ".join(text.split()),
        "in a block": lambda text: f"```\n{text}\n```",
    }
    cases: tuple[list[str], list[dict[str, Any]], list[Sample]] = ([], [], [])
    for number, (row, sample) in enumerate(zip(bench.rows, samples, strict=False)):
        texts = {shape: spoil(row["follows"]) for shape, spoil in spoiled.items()}
        texts["another's"] = bench.rows[number + 1]["follows"]
        for shape, reply in texts.items():
            official = {key: row[key] for key in ("key", "prompt", "instruction_id_list", "kwargs")}
            for part, value in zip(cases, (shape, official | {"reply": reply}, sample), strict=True):
                part.append(value)
    return cases


def choice_items(count: int = 24) -> tuple[list[SubjectQuestion], dict[str, Any]]:
    """Questions of ours in MMLU's form, and the same in lm_eval's; choices longer in bytes than in letters."""
    rows: list[Row] = []
    for number in range(5 + count):
        a, b = 3 + number, 5 + 7 * number
        texts = [f"{a + b}", f"ungefähr {a + b + 1} – größer", "weniger als früher", "θ" * (2 + number % 5)]
        rows.append((f"What is {a} + {b}?", *texts, "ABCD"[number * number % 7 % 4]))  # not the right ones: any do
    questions = [SubjectQuestion("own_sums", number, rows[:5], row) for number, row in enumerate(rows[5:])]
    foreign = [
        {"question": row[0], "choices": list(row[1:5]), "answer": "ABCD".index(row[5]), "subject": "own_sums"}
        for row in rows
    ]
    head = "The following are questions (with answers) about own sums.\n\n"
    return questions, {"shots": foreign[:5], "asked": foreign[5:], "description": head}


class OwnSums(Mmlu):
    name = "own_sums"

    def _read(self, path: Path | None) -> tuple[list[SubjectQuestion], Manifest]:
        questions = choice_items()[0]
        return questions, builtin_manifest(self.name, [one.row for one in questions])


def tiny_llama(folder: Path) -> Reader:
    """Saves a network with random weights and returns ours over the same files."""
    torch.manual_seed(1)
    spoken = small_tokenizer(350)
    config = LlamaConfig(
        vocab_size=spoken.vocab_size, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048, initializer_range=0.3,
    )  # fmt: skip
    LlamaForCausalLM(config).float().eval().save_pretrained(folder)
    save_tokenizer(spoken.backend, folder, chat_template="", max_length=2048)
    return Reader(DenseModel(*load_dense(folder, torch.float32)), spoken.encode, (), 2048)


@pytest.fixture(scope="module")
def graded() -> dict[str, Any]:
    """Our shapes, rows in the official schema and grades, by benchmark."""
    found: dict[str, Any] = {}
    for name, bench, (shapes, rows, samples) in (
        ("gsm8k", Gsm8k(), gsm8k_cases()),
        ("ifeval", VerifiableInstructions(), ifeval_cases()),
        ("humaneval", HumanEval(), humaneval_cases()),
    ):
        with open_sandbox(workers=1) as box:
            bench.box = box
            grades = [bench.grade(sample, Reply(row["reply"])) for sample, row in zip(samples, rows, strict=True)]
        found[name] = (shapes, rows, grades)
    shapes, rows = letter_cases()
    for name, bench, answers in (
        ("mmlu", ArithmeticMc(), ["ABCD".index(row["letter"]) for row in rows]),
        ("gpqa", GpqaDiamond(), [f"({row['letter']})" for row in rows]),
    ):
        grades = [bench.grade(Sample("", (), {"letter": row["letter"]}), Reply(row["reply"])) for row in rows]
        asked = [row | {"answer": answer} for row, answer in zip(rows, answers, strict=True)]
        found[name] = (shapes, asked, grades)
    return found


def differing(shapes: Sequence[str], ours: Sequence[float], theirs: Sequence[float]) -> dict[str, str]:
    """Who scores higher, by shape; `both` where it depends on the item."""
    found: dict[str, set[str]] = {}
    for shape, own, other in zip(shapes, ours, theirs, strict=True):
        if float(own) != float(other):
            found.setdefault(shape, set()).add("ours" if own > other else "theirs")
    return {shape: "both" if len(sides) > 1 else sides.pop() for shape, sides in found.items()}


def check(comparison: str, shapes: Sequence[str], ours: Sequence[float], theirs: Sequence[float]) -> None:
    """Equal but for what `KNOWN` lists, all of it."""
    known = {shape: side for _, side, listed in KNOWN[comparison] for shape in listed}
    assert sum(len(listed) for _, _, listed in KNOWN[comparison]) == len(known)
    assert differing(shapes, ours, theirs) == known, comparison
    assert len(set(ours)) == len(set(theirs)) == 2


def test_lm_eval(tmp_path: Path, graded: dict[str, Any]) -> None:
    reader = tiny_llama(tmp_path / "llama")
    cases = {name: rows for name, (_, rows, _) in graded.items()}
    cases["choices"] = choice_items()[1] | {"model": str(tmp_path / "llama")}
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    python = environment(tmp_path / "env", LM_EVAL, over_ours=True)
    sentences = Path(sysconfig.get_path("purelib")) / "llama_index/core/_static/nltk_cache"
    driver = HERE / "drivers" / "drive_lm_eval.py"
    told = json.loads(run_there(python, driver, "cases.json", cwd=tmp_path, NLTK_DATA=str(sentences)).splitlines()[-1])

    shapes, _, grades = graded["gsm8k"]
    check("lm_eval gsm8k strict", shapes, [one.result.score for one in grades], told["gsm8k"]["strict-match"])
    check(
        "lm_eval gsm8k flexible", shapes, [one.parts["flexible"] for one in grades], told["gsm8k"]["flexible-extract"]
    )

    _, rows, grades = graded["ifeval"]
    assert {name for row in rows for name in row["instruction_id_list"]} == set(IFEVAL)
    theirs = told["ifeval"]
    assert [one.result.score for one in grades] == [float(right) for right in theirs["prompt_level_strict_acc"]]
    assert [one.parts["prompt_loose"] for one in grades] == [float(right) for right in theirs["prompt_level_loose_acc"]]
    assert [one.parts["strict"] for one in grades] == [sum(right) for right in theirs["inst_level_strict_acc"]]
    assert [one.parts["loose"] for one in grades] == [sum(right) for right in theirs["inst_level_loose_acc"]]

    shapes, _, grades = graded["humaneval"]
    for name in ("humaneval", "humaneval_instruct"):
        check(f"lm_eval {name}", shapes, [one.result.score for one in grades], told["humaneval"][name])

    shapes, _, grades = graded["mmlu"]
    check("lm_eval mmlu", shapes, [one.parts["official"] for one in grades], told["mmlu"]["get_response"])
    shapes, _, grades = graded["gpqa"]
    check("lm_eval gpqa", shapes, [one.result.score for one in grades], told["gpqa"]["flexible-extract"])

    compare_choices(reader, told["choices"])


def compare_choices(reader: Reader, told: Sequence[Mapping[str, Any]]) -> None:
    """Texts to the letter, nats within 1e-3, and the same choice; lm_eval's `acc_norm` is per character."""
    bench = OwnSums()
    rows = ask(bench, reader, seed=0)
    assert len(told) == len(rows) // 2 == 24
    for number, (sample, theirs) in enumerate(zip(bench.items(), told, strict=True)):
        question = bench.choices(sample)
        assert theirs["texts"] == [[question.context, f" {choice}"] for choice in question.choices]
        nats = log_likelihoods(reader, question)
        assert nats == pytest.approx(theirs["nats"], abs=1e-3)
        by_sum, by_bytes = rows[2 * number : 2 * number + 2]
        assert (by_sum["score"], by_bytes["score"]) == (theirs["acc"], theirs["acc_bytes"])
        by_characters = [value / len(choice) for value, choice in zip(nats, question.choices, strict=True)]
        likeliest = max(range(4), key=by_characters.__getitem__)
        assert theirs["acc_norm"] == float(likeliest == question.right)
    for kind in (0, 1):
        assert {row["score"] for row in rows[kind::2]} == {0.0, 1.0}


def test_inspect(tmp_path: Path, graded: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    cases = {name: rows for name, (_, rows, _) in graded.items() if name != "ifeval"}
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    monkeypatch.setenv("PIP_NO_DEPS", "1")  # it wants older versions of what we pin
    python = environment(tmp_path / "env", INSPECT, over_ours=True, constrained=False)
    driver = HERE / "drivers" / "drive_inspect.py"
    told = json.loads(run_there(python, driver, "cases.json", cwd=tmp_path).splitlines()[-1])

    shapes, _, grades = graded["gsm8k"]
    check("inspect gsm8k", shapes, [one.parts["flexible"] for one in grades], told["gsm8k"])
    shapes, _, grades = graded["humaneval"]
    check("inspect humaneval", shapes, [one.result.score for one in grades], told["humaneval"])
    shapes, _, grades = graded["mmlu"]
    check("inspect mmlu", shapes, [one.result.score for one in grades], told["mmlu"])
    shapes, _, grades = graded["gpqa"]
    check("inspect gpqa", shapes, [one.parts["official"] for one in grades], told["gpqa"])
