"""`python -m stages.tokens`: every document as [BOS] ids [EOS], in memory-mapped shards with an index."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from gym.decontaminate import Index, decontaminate
from k2model.chat.tokenizer import load_tokenizer
from k2model.training.token_shards import ShardWriter
from stages.harness.errors import InputError
from stages.harness.files import sha256_file, write_atomic
from stages.harness.stage import Stage
from stages.harness.tables import NGRAMS, write_table
from stages.posttraining.benchmark_index import FILE
from stages.tokens.benchmarks import benchmark_index
from stages.tokens.params import TokensParams
from stages.tokens.texts import Text, count_texts, texts
from stages.tracking.runs import Track

OUT = Path("data/tokens")
CORPUS_PATH = Path("data/corpus.parquet")
REPHRASED_PATH = Path("data/rephrased.parquet")
TOKENIZER = Path("data/tokenizer")
BATCH = 512


def batches(items: Iterable[Text], size: int) -> Iterator[list[Text]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def main() -> None:
    with Stage("tokens", TokensParams, Track) as stage:
        index_of_benchmarks, tool_names = Index(), 0
        if stage.params.decontaminate:
            index_of_benchmarks, absent, tool_names = benchmark_index()
            if absent:
                print(f"tokens: not compared with {', '.join(absent)}: their data is not installed", flush=True)
        tokenizer = load_tokenizer(TOKENIZER)
        rephrased = 0
        overlaps: Counter[str] = Counter()
        total = count_texts(CORPUS_PATH, REPHRASED_PATH)
        with write_atomic(OUT) as tmp, stage.progress(total, "doc") as progress:
            writer = ShardWriter(
                tmp,
                vocab_size=tokenizer.vocab_size,
                bos=tokenizer.bos,
                shard_tokens=stage.params.shard_tokens,
            )
            for batch in batches(texts(CORPUS_PATH, REPHRASED_PATH), BATCH):
                rephrased += sum(text.rephrased for text in batch)
                report = decontaminate((text.text for text in batch), index_of_benchmarks)
                overlaps.update(report.dropped)
                kept = [batch[number] for number in report.kept]
                encoded = tokenizer.encode_batch([text.text for text in kept])
                for text, ids in zip(kept, encoded, strict=True):
                    writer.add(text.split, [tokenizer.bos, *ids, tokenizer.eos])
                progress.update(len(batch))
            if not writer.tokens("train"):
                raise InputError(f"{CORPUS_PATH}: no training documents")
            index = writer.close(
                {
                    "eos": tokenizer.eos,
                    "pad": tokenizer.pad,
                    "tokenizer_sha256": sha256_file(TOKENIZER / "tokenizer.json"),
                }
            )
            write_table(tmp / FILE, index_of_benchmarks.rows(), NGRAMS)
        splits = index["splits"]
        counts = {f"{name}_tokens": split["tokens"] for name, split in splits.items()}
        counts |= {f"{name}_documents": split["documents"] for name, split in splits.items()}
        shards = sum(len(split["shards"]) for split in splits.values())
        stage.finish(
            f"{counts['train_tokens']:,} training tokens in {counts['train_documents']:,} documents "
            f"({rephrased:,} rephrased), {shards} shards, {sum(overlaps.values())} overlaps left out",
            metrics={
                **counts,
                "rephrased_documents": rephrased,
                "shards": shards,
                "benchmark_tool_names": tool_names,
                **{f"overlap_{name}": count for name, count in sorted(overlaps.items())},
            },
        )


if __name__ == "__main__":
    main()
