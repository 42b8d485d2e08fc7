"""Items of benchmarks are found in what the steps of the pipeline read, and nothing else is."""

import json
from pathlib import Path

import numpy as np
import pytest

from gym.benchmarks.open import open_benchmark
from gym.decontaminate import Index
from k2model.chat.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from k2model.training.token_shards import ShardWriter
from stages.evaluate.contamination import Items, contamination, items_of
from stages.harness.errors import InputError
from stages.harness.tables import CORPUS, FACTS, REPHRASED, ROLLOUTS, TRAJECTORIES, write_table
from tests.stages.report.made import filled

WORDS = [f"w{number}" for number in range(400)]


def text(*places: int) -> str:
    return " ".join(WORDS[place] for place in places)


def seen(items: Items, *texts: str) -> dict[str, float]:
    for each in texts:
        items.see(each)
    return items.shares()


def test_thirteen_words_in_a_row_are_found_and_twelve_are_not() -> None:
    items = Items()
    items.add("set", [text(*range(20)), text(*range(100, 140))], whole=False)
    assert seen(items, f"before {text(*range(3, 16))} behind") == {"set": 0.5}
    assert seen(items, f"before {text(*range(3, 15))} behind") == {"set": 0.0}
    assert seen(items, f"{text(*range(3, 9))} between {text(*range(9, 20))}") == {"set": 0.0}
    assert seen(items, text(*range(20)), text(*range(120, 134)), "", "unknown words alone") == {"set": 1.0}
    assert seen(items) == {"set": 0.0}  # every step is counted for itself


def test_a_short_item_is_found_as_a_whole_and_a_very_short_one_must_be_the_text() -> None:
    items = Items()
    items.add("set", [text(*range(9)), text(*range(50, 55))], whole=False)
    assert seen(items, f"so {text(*range(9))} it is") == {"set": 0.5}
    assert seen(items, text(*range(8))) == {"set": 0.0}
    assert seen(items, f"so {text(*range(50, 55))} it is") == {"set": 0.0}
    assert seen(items, text(*range(50, 55)).upper()) == {"set": 0.5}


def test_the_template_of_a_set_is_no_item_and_a_generators_question_counts_as_a_whole() -> None:
    template = text(*range(200, 230))
    asked = [f"{template} {text(*range(start, start + 5))}" for start in range(0, 100, 5)]
    for whole in (False, True):
        items = Items()
        items.add("set", asked, whole=whole)
        assert seen(items, f"{template} something else") == {"set": 0.0}
        assert seen(items, f"x {asked[3]} y") == {"set": 0.05}


def test_many_random_texts_are_judged_as_the_index_of_the_training_judges_them() -> None:
    rng = np.random.default_rng(0)
    asked = [text(*rng.integers(0, 40, rng.integers(8, 40))) for _ in range(60)]
    index, items = Index(), Items()
    index.add("set", asked)
    items.add("set", asked, whole=False)
    verdicts = []
    for _ in range(400):
        item = asked[rng.integers(len(asked))].split()
        start, length = rng.integers(0, max(1, len(item) - 12)), rng.integers(9, 16)
        given = " ".join(["foreign", *item[start : start + length], text(*rng.integers(0, 40, 30))])
        verdicts.append(index.overlap(given) is not None)
        assert (seen(items, given)["set"] > 0) == verdicts[-1], given
    assert 100 < sum(verdicts) < 300


def test_questions_of_generators_count_as_wholes() -> None:
    bench = open_benchmark("arithmetic_mc")
    asked = str(bench.items()[0].messages[-1]["content"])
    items = items_of([bench])
    assert seen(items, f"Some words. {asked}") == {"arithmetic_mc": 1 / 100}
    assert seen(items, asked[:-20]) == {"arithmetic_mc": 0.0}


def data(folder: Path, questions: dict[str, str]) -> Path:
    """A folder as the stages leave it; `questions` are the texts that its steps read."""

    def corpus(text: str, split: str) -> dict[str, object]:
        return filled(CORPUS, text=text, split=split)

    folder.mkdir()
    rows = [corpus(questions["corpus"], "train"), corpus(questions["held out"], "validation")]
    write_table(folder / "corpus.parquet", rows, CORPUS)
    reworded = [filled(REPHRASED, text=questions["rephrased"], accepted=True)]
    reworded.append(filled(REPHRASED, text=questions["held out"]))
    write_table(folder / "rephrased.parquet", reworded, REPHRASED)
    said = [{"role": "user", "content": "hello"}, {"role": "tool", "content": questions["trajectories"]}, {}]
    kept = filled(TRAJECTORIES, messages=json.dumps(said), kept=True)
    rejected = filled(TRAJECTORIES, messages=json.dumps([{"content": questions["held out"]}]))
    write_table(folder / "trajectories.parquet", [kept, rejected], TRAJECTORIES)
    facts = [filled(FACTS, question=questions["facts"], split="train", aliases=[])]
    write_table(folder / "facts.parquet", facts, FACTS)
    asked = json.dumps([{"role": "user", "content": questions["rl"]}])
    write_table(folder / "rollouts.parquet", [filled(ROLLOUTS, question=asked)] * 3, ROLLOUTS)
    save_tokenizer(train_tokenizer(questions.values(), 290), folder / "tokenizer", chat_template="", max_length=128)
    tokenizer = load_tokenizer(folder / "tokenizer")
    writer = ShardWriter(folder / "tokens", vocab_size=tokenizer.vocab_size, bos=tokenizer.bos, shard_tokens=500)
    for split, name in (("train", "tokens"), ("train", "corpus"), ("validation", "held out")):
        writer.add(split, [tokenizer.bos, *tokenizer.encode(questions[name]), tokenizer.eos])
    writer.close()
    return folder


def test_each_step_counts_what_it_read(tmp_path: Path) -> None:
    bench = open_benchmark("gsm8k")
    asked = bench.texts()
    names = ("corpus", "rephrased", "tokens", "trajectories", "facts", "rl", "held out")
    found = contamination([bench], data(tmp_path / "data", dict(zip(names, asked, strict=False))))
    one = 1 / len(asked)
    assert found == {
        "gsm8k_contaminated_corpus": one,
        "gsm8k_contaminated_rephrased": one,
        "gsm8k_contaminated_tokens": 2 * one,  # what came out of the corpus is in it, too
        "gsm8k_contaminated_trajectories": one,
        "gsm8k_contaminated_facts": one,
        "gsm8k_contaminated_rl": one,
    }
    (tmp_path / "data" / "facts.parquet").unlink()
    with pytest.raises(InputError, match=r"facts\.parquet: not found"):
        contamination([bench], tmp_path / "data")
