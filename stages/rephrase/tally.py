"""What is counted over all rephrasings, and the few that are shown: nothing here grows with the number of texts."""

import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from agents.rephrase.rewrite import Rephrasing, reasons
from agents.rephrase.styles import STYLES
from stages.harness.seeds import sub_seed

SAMPLES = 2  # of accepted and of rejected texts, per style
DRAWN = 10  # texts of any kind, by seed
REJECTED_WORDINGS = 4  # per style
COUNTS = ("texts", "accepted", "chunks", "chunks_reworded", "candidates", "candidates_passed", "bytes_accepted")


@dataclass
class Tally:
    """Counts by style, and samples: the first of each kind, and `DRAWN` by `seed`."""

    seed: int
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    reasons: Counter[str] = field(default_factory=Counter)
    samples: dict[tuple[str, bool], list[Rephrasing]] = field(default_factory=lambda: defaultdict(list))
    wordings: dict[str, list[tuple[str, str, str]]] = field(default_factory=lambda: defaultdict(list))
    refused: list[str] = field(default_factory=list)
    _drawn: list[tuple[int, str, int, Rephrasing]] = field(default_factory=list)

    def add(self, done: Rephrasing) -> None:
        style = done.job.style
        passed = sum(not candidate.reason for candidate in done.candidates)
        size = len(done.text.encode()) if done.accepted else 0
        reworded = sum(k >= 0 for k in done.chosen)
        amounts = (1, int(done.accepted), len(done.chosen), reworded, len(done.candidates), passed, size)
        for key, value in zip(COUNTS, amounts, strict=True):
            self.counts[style][key] += value
        self.reasons.update(reasons(done.candidates))
        if done.refused:
            self.refused.append(done.job.doc_id)
        if len(kept := self.samples[style, done.accepted]) < SAMPLES:
            kept.append(done)
        few = self.wordings[style]
        few += [(c.reason, c.wording, c.chunk) for c in done.candidates if c.reason][: REJECTED_WORDINGS - len(few)]
        # The largest of the smallest keys leaves first: heapq keeps the smallest in front, so places are negative.
        place = -sub_seed(self.seed, "rephrase", "card", done.job.doc_id, done.job.version)
        heapq.heappush(self._drawn, (place, done.job.doc_id, done.job.version, done))
        if len(self._drawn) > DRAWN:
            heapq.heappop(self._drawn)

    @property
    def drawn(self) -> list[Rephrasing]:
        """`DRAWN` texts by seed, in the order of their documents."""
        return [done for _, _, _, done in sorted(self._drawn, key=lambda entry: entry[1:3])]

    def total(self, key: str) -> int:
        return sum(counts[key] for counts in self.counts.values())

    def shares(self) -> dict[str, float]:
        """Metrics: accepted share of texts, of chunks and of candidates, overall and by style."""
        whole: Counter[str] = sum(self.counts.values(), Counter())
        metrics: dict[str, float] = {}
        for prefix, counts in [("", whole), *((f"{s}_", self.counts[s]) for s in STYLES if s in self.counts)]:
            if counts["texts"]:
                metrics[f"{prefix}accepted"] = counts["accepted"] / counts["texts"]
                metrics[f"{prefix}chunks_reworded"] = counts["chunks_reworded"] / max(1, counts["chunks"])
                metrics[f"{prefix}candidates_passed"] = counts["candidates_passed"] / max(1, counts["candidates"])
        return {key: round(value, 4) for key, value in metrics.items()}
