"""What the experiment on rephrasing trains on: documents with their facts, and distinct rephrasings of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from agents.chat.open import open_client
from agents.rephrase.rewrite import Rephrasing, RewriteJob, RewriteOptions, rephrase, verdict
from agents.rephrase.styles import PERSPECTIVES, STYLES, assemble
from experiments.rephrase_measure import question
from stages.harness.seeds import rng, sub_seed
from stages.harness.tables import CORPUS, FACTS, read_table
from stages.measure.closed_book import Fact

RELATION = "description"
# what the teacher words → the forms in which its wordings are told
FORMS = {
    "faq": (("faq", "encyclopedist"), ("dialogue", "teacher"), ("dialogue", "journalist"), ("dialogue", "traveller")),
    "tutorial": (("tutorial", "teacher"), ("table", "encyclopedist"), ("learning_note", "teacher")),
    "paraphrase": (("paraphrase", "encyclopedist"),),
}


@dataclass(frozen=True)
class Setup:
    """The size of the experiment; tokens per step are rows × length, half of them of an arm.

    `hidden` is the network's width where it is not the preset's (0). A
    question with given answers has `options` of them. The teacher gives `candidates` wordings of each chunk and kind.
    """

    preset: str
    hidden: int
    documents: int
    versions: int
    options: int
    candidates: int
    seeds: int
    max_chars: int
    base_steps: int
    rows: int
    length: int
    base_lr: float
    lr: float
    seed: int


def choose(s: Setup) -> tuple[list[dict[str, Any]], list[Fact], list[dict[str, Any]], list[Fact]]:
    """(documents, one fact about each, the other documents, facts about those): the base learns from the others."""
    corpus = read_table(Path("data/corpus.parquet"), CORPUS).to_pylist()
    facts = [f for f in read_table(Path("data/facts.parquet"), FACTS).to_pylist() if f["relation"] == RELATION]
    about = {fact["doc_id"]: fact for fact in facts}
    fit = [
        row for row in corpus if row["split"] == "train" and row["doc_id"] in about and len(row["text"]) <= s.max_chars
    ]
    fit.sort(key=lambda row: sub_seed(s.seed, "experiment", row["doc_id"]))
    answers: set[str] = set()  # two documents with one answer would make a choice between them meaningless
    chosen: list[dict[str, Any]] = []
    for row in fit:
        answer = about[row["doc_id"]]["answer"]
        if answer not in answers and len(chosen) < s.documents:
            answers.add(answer)
            chosen.append(row)
    taken = {row["doc_id"] for row in chosen}
    others = [row for row in corpus if row["split"] == "train" and row["doc_id"] not in taken]
    kept = [fact for fact in facts if fact["doc_id"] not in taken and fact["split"] == "train"]
    return chosen, [about[row["doc_id"]] for row in chosen], others, kept


def rephrasings(rows: Sequence[dict[str, Any]], s: Setup) -> tuple[dict[str, list[str]], list[Rephrasing]]:
    """Up to `versions` distinct accepted texts of each document, in an order drawn for it.

    The teacher words questions, headings and paraphrases of each chunk, `candidates` of each. Its n-th passing wordings
    of all chunks, in each of `FORMS`, are a text, which is scored as the stage scores its own.
    """
    client = open_client("embedded", store=Path("work/answers.sqlite"), workers=torch.get_num_threads())
    options = RewriteOptions(excerpt_tokens=96, chunk_tokens=40, candidates=s.candidates)
    jobs = [
        RewriteJob(
            row["doc_id"], row["title"], row["text"], style, forms[0][1], 0, sub_seed(s.seed, style, row["doc_id"])
        )
        for style, forms in FORMS.items()
        for row in rows
    ]
    done = rephrase(jobs, client, options)
    texts: dict[str, list[str]] = {row["doc_id"]: [] for row in rows}
    for rephrasing in done:
        known = texts[rephrasing.job.doc_id]
        known += [text for text in alternatives(rephrasing, options) if text not in known]
    for doc_id, known in texts.items():
        order = rng(s.seed, "experiment", "versions", doc_id).permutation(len(known))
        texts[doc_id] = [known[k] for k in order[: s.versions]]
    return texts, done


def alternatives(rephrasing: Rephrasing, options: RewriteOptions) -> Iterator[str]:
    """Accepted texts out of one job's candidates."""
    n = options.candidates
    chunks = [rephrasing.candidates[at : at + n] for at in range(0, len(rephrasing.candidates), n)]
    passed = [list(dict.fromkeys(c.wording for c in chunk if not c.reason)) for chunk in chunks]
    for style, perspective in FORMS[rephrasing.job.style]:
        job = replace(rephrasing.job, style=style, perspective=perspective)
        for k in range(max(map(len, passed))):
            wordings = [wording[k % len(wording)] if wording else "" for wording in passed]
            parts = [(wording, chunk[0].chunk) for wording, chunk in zip(wordings, chunks, strict=True)]
            text = assemble(STYLES[style], PERSPECTIVES[perspective], job.title, parts)
            _, reason = verdict(job, text, sum(map(bool, wordings)) / len(wordings), options)
            if not reason:
                yield text


def arms(
    rows: Sequence[dict[str, Any]], texts: dict[str, list[str]], versions: int, seed: int
) -> dict[str, list[list[str]]]:
    """The epochs of each arm; every document has `versions` texts, of which the seed picks the single one."""
    raw = [row["text"] for row in rows]
    many = [[texts[row["doc_id"]][k] for row in rows] for k in range(versions)]
    return {"raw": [raw] * versions, "one": [many[seed % versions]] * versions, "many": many}


def base_texts(s: Setup, others: Sequence[dict[str, Any]], facts: Sequence[Fact]) -> list[str]:
    """What the base learns from, and what every arm goes on to see: other documents, and questions about them."""
    about = {fact["doc_id"]: f"{question(fact)} {fact['answer']}" for fact in facts}
    return [text for row in others for text in (row["text"][: s.max_chars], about.get(row["doc_id"], "")) if text]
