"""From files to token shards at a given size: `python -m bench.data --mb 100 300`; memory and time of each stage.

The text is the default corpus multiplied: novel documents by a Markov chain over its words, near-duplicates with a few
words changed and plain copies, in files of four kinds. The stages run in a copy of the checkout, as a user starts them,
with the vocabulary of the default base and the default's decontamination.
"""

import argparse
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from stages.corpus import python_docs, wikipedia
from stages.harness.tables import REPHRASED, write_table

ROOT = Path(__file__).parents[1]
NEAR, SAME = 0.2, 0.05  # shares of the documents
FILE_BYTES = 32 << 20
KINDS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
ROUND = 4096  # documents that are drawn together


def novel(seed: int) -> Iterator[str]:
    """Documents of 40 to 300 words, each word drawn from those that follow the one before it somewhere in real text."""
    text = " \n ".join(document.text for document in (*wikipedia.documents(), *python_docs.documents()))
    vocabulary, words = np.unique(np.array(re.findall(r"\n|\S+", text)), return_inverse=True)
    order = np.argsort(words[:-1], kind="stable")
    followers = words[1:][order]
    counts = np.bincount(words[:-1], minlength=len(vocabulary))
    begins = np.cumsum(counts) - counts
    shown = np.array(vocabulary, dtype=object)
    rng = np.random.default_rng(seed)
    while True:
        word = words[rng.integers(0, len(words) - 1, ROUND)]
        drawn = np.empty((ROUND, 300), np.int64)
        for place in range(300):
            drawn[:, place] = word
            word = followers[begins[word] + rng.integers(0, np.maximum(counts[word], 1))]
        for row, length in zip(drawn, rng.integers(40, 300, ROUND), strict=True):
            yield " ".join(shown[row[:length]])


def multiplied(seed: int) -> Iterator[str]:
    """Novel documents, near-duplicates and copies of some before them."""
    rng = np.random.default_rng(seed)
    earlier: list[str] = []
    for text in novel(seed):
        kind = rng.random()
        if earlier and kind < NEAR + SAME:
            text = earlier[rng.integers(len(earlier))]
            if kind < NEAR:
                words = text.split(" ")
                for place in rng.integers(0, len(words), 1 + len(words) // 80):
                    words[place] = "changed"
                text = " ".join(words)
        if len(earlier) < 100_000:
            earlier.append(text)
        else:
            earlier[rng.integers(len(earlier))] = text
        yield text


def write(folder: Path, size: int, seed: int) -> None:
    """Files of some `FILE_BYTES` with `size` bytes of text."""
    texts = multiplied(seed)
    for number in range(-(-size // FILE_BYTES)):
        own: list[str] = []
        left = min(FILE_BYTES, size - number * FILE_BYTES)
        while left > 0:
            own.append(next(texts))
            left -= len(own[-1].encode())
        kind = KINDS[number % len(KINDS)]
        path = folder / f"{number:05}{kind}"
        if kind == ".parquet":
            pq.write_table(pa.table({"text": own}), path)
            continue
        raw = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in own).encode()
        if kind == ".jsonl.gz":
            raw = gzip.compress(raw, 1)
        elif kind == ".jsonl.zst":
            raw = pa.compress(raw, "zstd", asbytes=True)
        path.write_bytes(raw)


class Watched:
    """The largest resident memory of a process and of those below it, of each and together, and their processor time.

    Together, what they share counts for each.
    """

    def __init__(self, process: psutil.Process) -> None:
        self.together = self.largest = 0
        self._cpu: dict[int, float] = {}
        self._process = process
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
            resident = []
            for process in (self._process, *self._process.children(recursive=True)):
                try:
                    resident.append(process.memory_info().rss)
                    times = process.cpu_times()
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
                self._cpu[process.pid] = times.user + times.system
            self.together, self.largest = max(self.together, sum(resident)), max(self.largest, *resident, 0)
            time.sleep(0.2)

    def seconds(self) -> float:
        """Of the processor, once the process has ended."""
        self._thread.join()
        return sum(self._cpu.values())


def checkout(folder: Path, texts: Path, threads: int) -> Path:
    """A copy of what git tracks whose only source is `texts`."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["threads"] = threads
    params["corpus"] |= {"sources": [], "paths": [str(texts)]}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


def run(stage: str, folder: Path) -> tuple[Watched, float]:
    """What a stage took, and how long it was."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", f"stages.{stage}"], cwd=folder, env=env, stdout=subprocess.DEVNULL
    )
    watched = Watched(psutil.Process(process.pid))
    if process.wait():
        raise SystemExit(f"stages.{stage}: status {process.returncode}")
    return watched, time.monotonic() - began


def measure(size: int, threads: int, seed: int) -> Iterator[str]:
    """Lines of the table."""
    with tempfile.TemporaryDirectory(prefix="bench-data-") as made:
        texts = Path(made, "texts")
        texts.mkdir()
        write(texts, size, seed)
        folder = checkout(Path(made, "checkout"), texts, threads)
        run("inputs", folder)
        total, mb = 0.0, size / 1e6
        for stage in ("corpus", "tokenizer", "tokens"):
            if stage == "tokens":
                write_table(folder / "data/rephrased.parquet", [], REPHRASED)
            watched, wall = run(stage, folder)
            seconds = watched.seconds()
            memory = f"{watched.largest / 1e6:,.0f} | {watched.together / 1e6:,.0f}"
            speed = f"{seconds:,.0f} | {mb / seconds:.1f} | {wall:,.0f}"
            yield f"| {mb:,.0f} | {threads} | {stage} | {told(stage, folder)} | {memory} | {speed} |"
            total += seconds if stage != "tokenizer" else 0.0
        yield f"| {mb:,.0f} | {threads} | corpus and tokens | | | | {total:,.0f} | {mb / total:.1f} | |"


def told(stage: str, folder: Path) -> str:
    """What came out of a stage."""
    found = json.loads((folder / f"metrics/{stage}.json").read_text())
    if stage == "corpus":
        return (
            f"{found['documents']:,} documents, {found['dropped_exact']:,} the same, {found['dropped_near']:,} nearly"
        )
    return f"{found['train_tokens']:,} tokens" if stage == "tokens" else f"{found['vocab_size']:,} tokens"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, nargs="+", default=[100], help="MB of text")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("| MB of text | workers | stage | out | largest process, MB | all, MB | CPU s | MB/s a core | s |")
    print("|---:|---:|---|---|---:|---:|---:|---:|---:|")
    for mb in arguments.mb:
        for line in measure(mb * 10**6, arguments.threads, arguments.seed):
            print(line, flush=True)


if __name__ == "__main__":
    main()
