import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from agents.chat.protocol import ChatAnswer, ChatRefusal, ChatRequest, ChatResponse
from agents.rephrase.rewrite import RewriteJob, RewriteOptions, frame_reason, n_answers, pack, rephrase
from agents.rephrase.styles import PERSPECTIVES, STYLES, assemble, shots, styles_for
from tests.answering import Answering

TEXT = "Anna Berg was born in Oslo in 1901. She built 3 bridges over the Akerselva. The last one still stands."


class Scripted(Answering):
    """Answers by a function of the passage; what holds a word of `refused` is refused."""

    def __init__(self, answer: dict[str, str], refused: Sequence[str] = ()) -> None:
        super().__init__(self._say)
        self.said, self.refused = answer, refused

    def _say(self, request: ChatRequest) -> ChatAnswer:
        user = next(m for m in reversed(request.messages) if m["role"] == "user")
        passage = user["content"].rpartition("Passage: ")[2]
        if any(word in passage for word in self.refused):
            return ChatRefusal("refused", "status 400: content filter")
        text = next((said for key, said in self.said.items() if key in passage), "")
        return ChatResponse(text, prompt_tokens=7, completion_tokens=3)


def _job(style: str) -> RewriteJob:
    return RewriteJob("d", "Anna Berg", TEXT, style, "teacher", 0, 1)


OPTIONS = RewriteOptions(excerpt_tokens=200, chunk_tokens=10, candidates=1)
QUESTIONS = {
    "born": "Where was Anna Berg born?",
    "bridges": "How many bridges over the Akerselva?",
    "last": "Which one still stands?",
}


def test_chunks_are_asked_one_after_the_other_with_what_is_done_in_view() -> None:
    client = Scripted(QUESTIONS)
    answers: list[ChatAnswer] = []
    (done,) = rephrase([_job("faq")], client, OPTIONS, answers.append)
    assert done.accepted and done.chosen == [0, 0, 0]
    assert done.text.split("\n")[:2] == ["Q: Where was Anna Berg born?", "A: Anna Berg was born in Oslo in 1901."]
    assert len(client.asked) == len(answers) == n_answers([_job("faq")], OPTIONS) == 3
    last = client.asked[2]
    beginning = shots(STYLES["faq"])
    assert last.messages[: last.shared] == beginning
    assert [m["content"] for m in last.messages[last.shared :] if m["role"] == "assistant"] == [
        QUESTIONS["born"],
        QUESTIONS["bridges"],
    ]
    assert TEXT in last.messages[-1]["content"]


def test_an_unfaithful_wording_is_dropped_and_its_chunk_keeps_the_source() -> None:
    client = Scripted(QUESTIONS | {"bridges": "Who was Per Hansen, born in 1877?"})
    (done,) = rephrase([_job("faq")], client, OPTIONS)
    assert done.chosen == [0, -1, 0] and done.accepted
    assert "She built 3 bridges over the Akerselva." in done.text and "Hansen" not in done.text
    assert [c.reason for c in done.candidates] == ["", "new number", ""]
    assert "Hansen" not in str(client.asked[2].messages)


def test_a_refused_chunk_keeps_the_source_and_the_others_go_on() -> None:
    (done,) = rephrase([_job("faq")], Scripted(QUESTIONS, refused=["bridges"]), OPTIONS)
    assert done.chosen == [0, -1, 0] and done.accepted and done.refused == 1
    assert "She built 3 bridges over the Akerselva." in done.text
    assert [c.reason for c in done.candidates] == ["", "refused", ""]


def test_a_text_of_which_all_was_refused_is_lost_and_the_next_one_is_not() -> None:
    class Picky(Scripted):
        def _say(self, request: ChatRequest) -> ChatAnswer:
            bad = "Per Hansen" in str(request.messages[-1]["content"])
            return ChatRefusal("refused", "status 400: content filter") if bad else super()._say(request)

    other = replace(_job("faq"), doc_id="e", title="Per Hansen")
    lost, kept = rephrase([other, _job("faq")], Picky(QUESTIONS), OPTIONS)
    assert (lost.accepted, lost.reason, lost.refused) == (False, "refused", 3)
    assert kept.accepted and not kept.refused


def test_too_little_reworded_is_rejected() -> None:
    (done,) = rephrase([_job("faq")], Scripted({"born": QUESTIONS["born"]}), OPTIONS)
    assert not done.accepted and done.reason == "too little reworded"


def test_paraphrases_are_scored_chunk_by_chunk() -> None:
    client = Scripted(
        {
            "born": " Anna Berg was born.",
            "bridges": "She built 4 bridges.",
            "last": "The last one is standing still.",
        }
    )
    (done,) = rephrase([_job("paraphrase")], client, OPTIONS)
    assert done.chosen[1] == -1
    assert done.candidates[1].reason == "new number"
    opening = client.asked[0].messages[-1]  # a phrase of the chunk, put into the teacher's mouth
    assert opening == {"role": "assistant", "content": "In Oslo in 1901,"}
    assert done.text.startswith("In Oslo in 1901, Anna Berg was born. She built 3 bridges")


def test_long_documents_are_cut_into_excerpts() -> None:
    text = " ".join(f"Sentence number {i} says a few more words." for i in range(20))
    job = RewriteJob("d", "Long", text, "faq", "teacher", 0, 1)
    client = Scripted({"": "What does it say?"})
    rephrase([job], client, RewriteOptions(excerpt_tokens=40, chunk_tokens=12, candidates=1))
    assert all(len(request.messages[-1]["content"]) < 400 for request in client.asked)
    assert pack(["a" * 16, "b" * 16, "c" * 40], 8) == [["a" * 16, "b" * 16], ["c" * 40]]


FREE = RewriteOptions(excerpt_tokens=60, chunk_tokens=12, candidates=1, free=True, judged=True)


def _saga(n: int) -> str:
    """A long text in which every sentence has a name, a number and a reference of its own."""
    names = ("Ada", "Bo", "Cleo", "Dag", "Eli", "Finn", "Gro", "Hal", "Ida", "Jon")
    return " ".join(
        f"In {1801 + k} {names[k % 10]}{names[k // 10]} carried {k + 20} kegs to Port{names[k // 10]}{names[k % 10]}."
        for k in range(n)
    )


def _other_words(request: ChatRequest) -> str:
    """A free rewriter that forgets a number now and then."""
    passage = request.messages[-1]["content"].rpartition("Passage: ")[2]
    said = []
    for year, name, n, place in re.findall(r"In (\d+) (\w+) carried (\d+) kegs to (\w+)\.", passage):
        kegs = "some" if int(n) % 7 == 0 else n
        said.append(f"It was {name} who brought {place} its {kegs} kegs, as late as {year}.")
    return " ".join(said)


def test_names_numbers_and_references_of_a_long_document_survive_across_chunks() -> None:
    text = _saga(60)
    assert len(text) > 2000
    client = Answering(_other_words)
    (done,) = rephrase([RewriteJob("d", "Saga", text, "paraphrase", "teacher", 0, 1)], client, FREE)
    assert done.accepted and len(done.chosen) == n_answers([done.job], FREE) >= 55
    kept = [k for k, chosen in enumerate(done.chosen) if chosen < 0]
    assert 0 < len(kept) < len(done.chosen) / 3, "a chunk that lost a number keeps the source's sentences"
    assert {c.reason for c in done.candidates} == {"", "number lost"}
    for word in set(re.findall(r"\d+|[A-Z]\w+", text)) - {"In"}:
        assert re.search(rf"\b{word}\b", done.text), word
    assert done.scores.copied < 0.35 and done.scores.names == done.scores.numbers == 1.0
    order = [done.text.index(str(1801 + k)) for k in range(60)]
    assert order == sorted(order), "chunks are stitched in their order"


def test_a_free_request_shows_the_excerpt_and_what_is_already_rewritten() -> None:
    client = Answering(_other_words)
    rephrase([RewriteJob("d", "Saga", _saga(3), "dialogue", "traveller", 0, 1)], client, FREE)
    system, *turns = client.asked[-1].messages
    assert "a conversation of two people" in system["content"] and "`Traveller: ` and `Guide: `" in system["content"]
    said = [turn["content"] for turn in turns if turn["role"] == "assistant"]
    assert said == [_other_words(request) for request in client.asked[:-1] if " some " not in _other_words(request)]
    assert _saga(3) in turns[-1]["content"]
    assert client.asked[-1].shared == 1 and not client.asked[-1].stop


def test_free_forms_are_stitched_under_their_heads() -> None:
    said = {
        "born": "| birth | Oslo saw the birth of Anna Berg in 1901. |",
        "bridges": "nothing",
        "last": "| today | The last one is standing still. |",
    }
    (done,) = rephrase([_job("table")], Scripted(said), replace(FREE, chunk_tokens=10))
    assert done.text.split("\n") == [
        "Anna Berg", "", "| Topic | Fact |", "|---|---|", said["born"],
        "| Anna Berg | She built 3 bridges over the Akerselva. |", said["last"],
    ]  # fmt: skip


def test_another_language_is_compared_by_numbers_alone() -> None:
    job = RewriteJob(
        "d",
        "Anna Berg",
        "Anna Berg ble født i Oslo i 1901. Hun bygde 3 broer.",
        "paraphrase",
        "teacher",
        0,
        1,
        foreign=True,
    )
    client = Answering(
        lambda request: "Anna Berg saw the light of day in Norway's capital in 1901 and built 3 bridges."
    )
    (done,) = rephrase([job], client, replace(FREE, chunk_tokens=60))
    assert done.accepted and "another language; you write English" in client.asked[0].messages[0]["content"]
    (bad,) = rephrase(
        [job],
        Answering(lambda request: "Anna Berg was born in Oslo in 1902; 3 bridges are hers."),
        replace(FREE, chunk_tokens=60),
    )
    assert not bad.accepted and bad.candidates[0].reason == "new number"


@pytest.mark.parametrize(
    ("wording", "reason"),
    [
        ("Where was Anna Berg born?", ""),
        ("Where was Anna Berg born? And when?", "no question"),
        ("She was born.", "no question"),
        ("Was Anna Berg born in 1905?", "new number"),
        ("Was Anna Berg born in Bergen?", "new name"),
        ("Which famous elephants eat cheap purple strawberries?", "off the passage"),
        ("", "empty"),
    ],
)
def test_questions(wording: str, reason: str) -> None:
    chunk = "Anna Berg was born in Oslo in 1901."
    assert frame_reason(wording, STYLES["faq"], chunk, "Anna Berg", TEXT) == reason


@pytest.mark.parametrize("style", sorted(STYLES))
def test_every_form_holds_the_chunks(style: str) -> None:
    parts = [("", "One fact."), ("Second?", "Two facts."), ("", "Three facts.")]
    text = assemble(STYLES[style], PERSPECTIVES["teacher"], "Title", parts)
    if STYLES[style].kind == "rewrite":
        assert text == "One fact. Second? Three facts."
    else:
        assert all(chunk in text for _, chunk in parts) and "Second?" in text


def test_mathematics_becomes_learning_notes() -> None:
    wanted = ("faq", "learning_note")
    assert styles_for("Euclid's theorem says ...", wanted) == ("learning_note",)
    assert styles_for("A bridge over a river.", wanted) == ("faq",)
