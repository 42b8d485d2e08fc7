"""Chunk-wise autoregressive rewriting (Kimi K2 §2.2): a document becomes excerpts, an excerpt becomes chunks; each
chunk is reworded with the excerpt and what is already reworded in view, several candidates are scored, the best one
that is faithful stays, and the chunks are stitched together again.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agents.chat.protocol import ChatAnswer, ChatClient, ChatRefusal, ChatRequest, Message
from agents.rephrase.fidelity import Fidelity, Thresholds, fidelity
from agents.rephrase.styles import PERSPECTIVES, STYLES, Style, ask, assemble, free_task, shots, stitch
from agents.rephrase.text import n_tokens, sentences

REFUSED = "refused"  # why there is no candidate at all
HEADING_WORDS = 7  # a frame style that allows no more asks for a heading, else for a question
FRONT = re.compile(
    r"\b(?P<phrase>(?:in|during|from|after|before|since|between|at|on|by|for|with|through|under)"
    r" [^,.;:()]{3,40}?)(?=[,.;]|$)"
)

ANY = 10**6
# What a judge is asked for; words tell it of close paraphrases alone (docs/evidence/rephrase.md).
LEFT_TO_A_JUDGE: dict[str, Any] = {
    "coverage": 0.0, "support": 0.0, "unsupported_run": ANY, "turned": ANY, "replaced": ANY, "similarity": 0.0,
}  # fmt: skip
ACROSS_LANGUAGES: dict[str, Any] = {"names": 0.0, "new_names": ANY, "copied": 1.0}
YEAR = re.compile(r"\b(?:1\d{3}|20\d{2})\b")


@dataclass(frozen=True)
class RewriteOptions:
    """How documents are rewritten.

    Attributes:
        excerpt_tokens: a document is cut into excerpts of this size, which are rewritten apart.
        chunk_tokens: sentences are packed into chunks of at most this size; a longer sentence is a chunk.
        candidates: answers per chunk; the first is greedy.
        temperature: of the other candidates.
        min_reworded: share of a document's chunks that must have an accepted wording; the others keep the source's.
        judged: a judge has the last word on meaning; the check keeps names, numbers, copies, loops and lengths.
    chunk: what a reworded chunk must reach. document: what the stitched text must reach.
    """

    excerpt_tokens: int = 4096
    chunk_tokens: int = 256
    candidates: int = 3
    temperature: float = 0.7
    min_reworded: float = 0.5
    free: bool = False
    judged: bool = False
    chunk: Thresholds = field(default_factory=Thresholds)
    document: Thresholds = field(default_factory=Thresholds)

    def bars(self, t: Thresholds, job: "RewriteJob") -> Thresholds:
        """What of the thresholds is for the check to decide."""
        across = ACROSS_LANGUAGES if job.foreign else {}
        return replace(t, **across, **(LEFT_TO_A_JUDGE if self.judged else {}))


@dataclass(frozen=True)
class RewriteJob:
    """One document in one cell of the grid. `seed` is the root of its candidates' seeds.

    foreign: the text is in another language and becomes English: of the scores those of numbers alone say anything.
    """

    doc_id: str
    title: str
    text: str
    style: str
    perspective: str
    version: int
    seed: int
    foreign: bool = False


@dataclass(frozen=True)
class Candidate:
    """A teacher's wording of a chunk, and why it was rejected ('' when it wasn't)."""

    chunk: str
    wording: str
    reason: str


@dataclass
class Rephrasing:
    """A finished job: the stitched text, its scores, and for each chunk the candidate that stayed (−1: the source).

    judged: what a judge found `lost` and `new`; empty where none was asked.
    """

    job: RewriteJob
    text: str
    scores: Fidelity
    reason: str
    chosen: list[int]
    candidates: list[Candidate]
    judged: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        return not self.reason

    @property
    def refused(self) -> int:
        """Candidates that the teacher did not give."""
        return sum(candidate.reason == REFUSED for candidate in self.candidates)


@dataclass
class _Work:
    job: RewriteJob
    excerpts: list[list[str]]
    parts: list[tuple[str, str]] = field(default_factory=list)
    chosen: list[int] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)

    def position(self) -> tuple[int, int] | None:
        """(excerpt, chunk in it) that comes next."""
        at = len(self.parts)
        for number, chunks in enumerate(self.excerpts):
            if at < len(chunks):
                return number, at
            at -= len(chunks)
        return None


def pack(units: Sequence[str], limit: int) -> list[list[str]]:
    """Neighbouring units, packed while they stay within `limit` tokens."""
    packs: list[list[str]] = []
    size = 0
    for unit in units:
        tokens = n_tokens(unit)
        if packs and size + tokens <= limit:
            packs[-1].append(unit)
            size += tokens
        else:
            packs.append([unit])
            size = tokens
    return packs


def rephrase(
    jobs: Sequence[RewriteJob],
    client: ChatClient,
    options: RewriteOptions,
    on_answer: Callable[[ChatAnswer], None] = lambda answer: None,
) -> list[Rephrasing]:
    """Rewrites all jobs side by side, chunk after chunk. A refused request costs one candidate.

    Args:
        on_answer: called with each of the `n_answers` answers as it comes.

    Raises:
        ChatError: no request can be answered; what was answered before is in the client's store.
    """
    works = [_Work(job, _excerpts(job.text, options)) for job in jobs]
    while active := [work for work in works if work.position() is not None]:
        requests: list[ChatRequest] = []
        owners: list[tuple[_Work, str]] = []
        for work in active:
            for request, opening in _requests(work, options):
                requests.append(request)
                owners.append((work, opening))
        answers = client.complete(requests, lambda _, answer: on_answer(answer))
        wordings: dict[int, list[str | None]] = {}
        for (work, opening), answer in zip(owners, answers, strict=True):
            text = None if isinstance(answer, ChatRefusal) else opening + answer.text
            wordings.setdefault(id(work), []).append(text)
        for work in active:
            _choose(work, wordings[id(work)], options)
    return [_finish(work, options) for work in works]


def n_answers(jobs: Sequence[RewriteJob], options: RewriteOptions) -> int:
    """How many answers `rephrase` asks for."""
    return options.candidates * sum(len(chunks) for job in jobs for chunks in _excerpts(job.text, options))


def _excerpts(text: str, options: RewriteOptions) -> list[list[str]]:
    excerpts = []
    for excerpt in pack(sentences(text), options.excerpt_tokens):
        excerpts.append([" ".join(chunk) for chunk in pack(excerpt, options.chunk_tokens)])
    return excerpts


def _requests(work: _Work, options: RewriteOptions) -> list[tuple[ChatRequest, str]]:
    """The candidates' requests for the next chunk, each with the opening that is put into the teacher's mouth."""
    position = work.position()
    assert position is not None
    job, style, perspective = work.job, STYLES[work.job.style], PERSPECTIVES[work.job.perspective]
    shared = _free_head(job) if options.free else shots(style)
    chunks = work.excerpts[position[0]]
    chunk = chunks[position[1]]
    done = work.parts[len(work.parts) - position[1] :]
    dialog: list[Message] = list(shared)
    for wording, before in done:  # what is already reworded: turns of the same dialog; a copy would teach copying
        if wording:
            dialog.append({"role": "user", "content": ask(perspective, job.title, before)})
            dialog.append({"role": "assistant", "content": wording})
    excerpt = " ".join(chunks) if len(chunks) > 1 else ""
    dialog.append({"role": "user", "content": ask(perspective, job.title, chunk, excerpt)})
    openings = [""] if options.free else _openings(style, chunk, job.title)
    limit, stop = _ends(style, chunk, options)
    requests = []
    for k in range(options.candidates):
        opening = openings[k % len(openings)]
        prefill: list[Message] = [{"role": "assistant", "content": opening}] if opening else []
        request = ChatRequest(
            (*dialog, *prefill),
            max_tokens=limit,
            temperature=0.0 if k < len(openings) else options.temperature,
            top_p=0.95,
            seed=_seed(job.seed, len(work.parts), k),
            stop=stop,
            shared=len(shared),
        )
        requests.append((request, opening))
    return requests


def _openings(style: Style, chunk: str, title: str) -> list[str]:
    """Beginnings that lead a weak teacher away from a copy and from what it said before: nothing, a question's first
    word, or a phrase of the chunk moved to the front."""
    if style.kind == "frame" and style.max_words <= HEADING_WORDS:
        return [""]
    if style.kind == "frame":
        return ["", *_question_words(chunk)]
    definition = re.match(r"([^:]{2,60}): ", chunk)
    if definition:
        return [f"{definition[1]} is", "The term"]
    phrases = [match["phrase"] for match in FRONT.finditer(chunk) if match.start() > 12]
    fronts = [phrase[0].upper() + phrase[1:] + "," for phrase in phrases[::-1]]
    return [*fronts[:2], ""]


def _question_words(chunk: str) -> list[str]:
    """What a question about this chunk may begin with, so that the candidates of a chunk ask for different things."""
    openings = ["When"] if YEAR.search(chunk) else []
    openings += ["How many"] if re.search(r"\d", YEAR.sub("", chunk)) else []
    return [*openings, "Which", "How"]


def _ends(style: Style, chunk: str, options: RewriteOptions) -> tuple[int, tuple[str, ...]]:
    """The most tokens of an answer, and where else it ends."""
    if options.free:
        return 4 * n_tokens(chunk) + 64, ()
    if style.kind == "rewrite":
        return n_tokens(chunk) * 3 // 2 + 16, ("\n",)
    if style.max_words <= HEADING_WORDS:
        return 12, ("\n", ".", ",", ":", ";", "(")
    return 28, ("\n",)


def _free_head(job: RewriteJob) -> tuple[Message, ...]:
    task = free_task(STYLES[job.style], PERSPECTIVES[job.perspective], foreign=job.foreign)
    return ({"role": "system", "content": task},)


def _seed(*names: int) -> int:
    return int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:8], "big") >> 1


def _choose(work: _Work, wordings: Sequence[str | None], options: RewriteOptions) -> None:
    """Appends the best faithful wording of the next chunk, or '' when there is none; None was refused."""
    position = work.position()
    assert position is not None
    job, style = work.job, STYLES[work.job.style]
    chunks = work.excerpts[position[0]]
    chunk, excerpt = chunks[position[1]], " ".join(chunks)
    used = {wording for wording, _ in work.parts if wording}
    best, best_value = -1, float("-inf")
    tidy = [(wording or "").strip() if options.free else _tidy(wording or "", style) for wording in wordings]
    for k, wording in enumerate(tidy):
        if wordings[k] is None:
            work.candidates.append(Candidate(chunk, "", REFUSED))
            continue
        if options.free or style.kind == "rewrite":
            scores = fidelity(chunk, wording, job.title, excerpt if options.free else "")
            reason = scores.reason(options.bars(options.chunk, job))
            value = scores.coverage + scores.support - scores.copied
        else:
            reason = frame_reason(wording, style, chunk, job.title, excerpt)
            value = float(-k)
        if not reason and wording in used:
            reason = "said before"
        work.candidates.append(Candidate(chunk, wording, reason))
        if not reason and value > best_value:
            best, best_value = k, value
    work.parts.append((tidy[best] if best >= 0 else "", chunk))
    work.chosen.append(best)


def _tidy(wording: str, style: Style) -> str:
    wording = " ".join(wording.split()).strip().strip('"“”*#|').strip()
    if style.kind == "frame" and style.max_words <= HEADING_WORDS:
        wording = wording.rstrip(".:")
    return wording


def frame_reason(wording: str, style: Style, chunk: str, title: str, excerpt: str) -> str:
    """Why a question or a heading is rejected: it must be about the chunk and bring no name, number or fact."""
    if not wording:
        return "empty"
    questions = style.max_words > HEADING_WORDS
    if questions and (not wording.endswith("?") or wording.count("?") > 1):
        return "no question"
    if not questions and re.search(r"[?!.:]", wording):
        return "no heading"
    if len(wording.split()) > style.max_words or "|" in wording:
        return "length"
    if re.search(r"\b(topic|passage|sentence|the text|entail|context)\b", wording, re.IGNORECASE):
        return "about the text"
    if wording.lower() == title.lower():
        return "says nothing"
    scores = fidelity(chunk, wording + ("" if questions else "."), title, excerpt)
    if scores.new_numbers:
        return "new number"
    if scores.new_names:
        return "new name"
    own = fidelity(f"{chunk} {title}", wording + ("" if questions else "."))
    if scores.support < 0.6 or own.support < 0.4:
        return "off the passage"
    if scores.repeats > 0.15:
        return "loop"
    return ""


def _finish(work: _Work, options: RewriteOptions) -> Rephrasing:
    """Stitches the chunks and scores the whole against its source."""
    style = STYLES[work.job.style]
    if options.free:
        text = stitch(style, work.job.title, work.parts)
    else:
        text = assemble(style, PERSPECTIVES[work.job.perspective], work.job.title, work.parts)
    scores, reason = verdict(work.job, text, sum(k >= 0 for k in work.chosen) / max(1, len(work.chosen)), options)
    if work.candidates and all(candidate.reason == REFUSED for candidate in work.candidates):
        reason = REFUSED
    return Rephrasing(work.job, text, scores, reason, work.chosen, work.candidates)


def verdict(job: RewriteJob, text: str, reworded: float, options: RewriteOptions) -> tuple[Fidelity, str]:
    """Scores of a stitched text, of whose chunks the share `reworded` has a wording, and why it is rejected, or ''."""
    scores = fidelity(job.text, text, job.title)
    thresholds = options.bars(options.document, job)
    if STYLES[job.style].kind == "frame" and options.free:  # a form's own words
        thresholds = replace(thresholds, max_length=2 * thresholds.max_length)
    elif STYLES[job.style].kind == "frame":  # the chunks' own sentences stand beside words of the form, checked before
        thresholds = replace(thresholds, copied=1.0, support=0.0, max_length=2 * thresholds.max_length)
    return scores, "too little reworded" if reworded < options.min_reworded else scores.reason(thresholds)


def reasons(candidates: Sequence[Candidate]) -> Counter[str]:
    """How often each reason rejected a candidate; '' are those that passed."""
    return Counter(candidate.reason for candidate in candidates)
