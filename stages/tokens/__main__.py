"""`python -m stages.tokens`: every document as [BOS] ids [EOS], in memory-mapped shards with an index.

Documents are read as a stream, become ids in pieces, and are added to shards in the work folder. A run that was killed
goes on with the piece at which the shards were last put on the disk.
"""

import os
import shutil
from collections import Counter
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from gym.decontaminate import Index
from k2model.chat.tokenizer import load_tokenizer
from k2model.training.token_shards import ShardWriter
from stages.harness.arguments import no_arguments
from stages.harness.errors import InputError
from stages.harness.files import sha256_file, write_atomic
from stages.harness.stage import Stage
from stages.harness.tables import NGRAMS, write_table
from stages.harness.workers import in_order
from stages.posttraining.benchmark_index import FILE
from stages.tokens.benchmarks import benchmark_index
from stages.tokens.encode import Encoded, Recipe, encode, pieces
from stages.tokens.params import TokensParams
from stages.tokens.texts import count_texts, texts
from stages.tracking.runs import Track

OUT = Path("data/tokens")
CORPUS_PATH = Path("data/corpus.parquet")
REPHRASED_PATH = Path("data/rephrased.parquet")
TOKENIZER = Path("data/tokenizer")
KEEP_PIECES = 8  # after so many the shards are put on the disk


def add(writer: ShardWriter, encoded: Encoded) -> None:
    """Every document of a piece to its split."""
    for split, ids in encoded.ids.items():
        for document in np.split(ids, np.cumsum(encoded.lengths[split])[:-1]):
            writer.add(split, document)


def write_shards(stage: Stage[TokensParams], writer: ShardWriter, recipe: Recipe) -> Counter[str]:
    """Adds what the writer doesn't have yet; counts `documents`, `rephrased` ones and `overlap_…`, of all."""
    note: dict[str, Any] = writer.note or {"pieces": 0, "counts": {}}
    done, counts = int(note["pieces"]), Counter(note["counts"])
    tables = (CORPUS_PATH, REPHRASED_PATH, stage.params.rephrased_times)
    missing = islice(pieces(texts(*tables)), done, None)
    with stage.progress(count_texts(*tables), "doc") as progress:
        progress.update(counts["documents"])
        work = partial(encode, recipe=recipe)
        for encoded in in_order(work, missing, stage.common.runner, stage.threads):
            add(writer, encoded)
            counts.update({"documents": encoded.documents, "rephrased": encoded.rephrased})
            counts.update({f"overlap_{name}": count for name, count in encoded.overlaps.items()})
            done += 1
            if done % KEEP_PIECES == 0:
                writer.keep({"pieces": done, "counts": counts})
            progress.update(encoded.documents)
    writer.keep({"pieces": done, "counts": counts})
    return counts


def _link(source: str, target: str) -> None:
    """A second name, so that nothing is copied; a copy where `data` lies on another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def main() -> None:
    with Stage("tokens", TokensParams, Track) as stage:
        benchmarks, tool_names = Index(), 0
        if stage.params.decontaminate:
            benchmarks, absent, tool_names = benchmark_index()
            if absent:
                print(f"tokens: not compared with {', '.join(absent)}: their data is not installed", flush=True)
        tokenizer = load_tokenizer(TOKENIZER)
        made = stage.work / "shards"
        writer = ShardWriter(
            made,
            vocab_size=tokenizer.vocab_size,
            bos=tokenizer.bos,
            shard_tokens=stage.params.shard_tokens,
            progress=stage.work / "progress.json",
        )
        counts = write_shards(stage, writer, Recipe(tokenizer.backend.to_str(), benchmarks))
        if not writer.tokens("train"):
            raise InputError(f"{CORPUS_PATH}: no training documents")
        index = writer.close(
            {
                "eos": tokenizer.eos,
                "pad": tokenizer.pad,
                "tokenizer_sha256": sha256_file(TOKENIZER / "tokenizer.json"),
            }
        )
        write_table(made / FILE, benchmarks.rows(), NGRAMS)
        with write_atomic(OUT) as tmp:
            shutil.copytree(made, tmp, copy_function=_link)
        splits = index["splits"]
        sizes = {f"{name}_tokens": split["tokens"] for name, split in splits.items()}
        sizes |= {f"{name}_documents": split["documents"] for name, split in splits.items()}
        shards = sum(len(split["shards"]) for split in splits.values())
        overlaps = {name: count for name, count in sorted(counts.items()) if name.startswith("overlap_")}
        stage.finish(
            f"{sizes['train_tokens']:,} training tokens in {sizes['train_documents']:,} documents "
            f"({counts['rephrased']:,} rephrased), {shards} shards, {sum(overlaps.values())} overlaps left out",
            metrics={
                **sizes,
                "rephrased_documents": counts["rephrased"],
                "shards": shards,
                "benchmark_tool_names": tool_names,
                **overlaps,
            },
        )
        (stage.work / "progress.json").unlink()
        shutil.rmtree(made)


if __name__ == "__main__":
    no_arguments("tokens")
    main()
