"""`python -m stages.tokens`: every document as [BOS] ids [EOS], in memory-mapped shards with an index."""

from pathlib import Path

from gym.decontaminate import Index, decontaminate
from k2model.chat.tokenizer import load_tokenizer
from k2model.training.token_shards import ShardWriter
from stages.harness.errors import InputError
from stages.harness.files import sha256_file, write_atomic
from stages.harness.stage import Stage
from stages.harness.tables import CORPUS, NGRAMS, read_table, write_table
from stages.posttraining.benchmark_index import FILE
from stages.tokens.benchmarks import benchmark_index
from stages.tokens.params import TokensParams
from stages.tokens.texts import rephrased_texts
from stages.tracking.runs import Track

OUT = Path("data/tokens")
CORPUS_PATH = Path("data/corpus.parquet")
REPHRASED_PATH = Path("data/rephrased.parquet")
TOKENIZER = Path("data/tokenizer")
BATCH = 512


def main() -> None:
    with Stage("tokens", TokensParams, Track) as stage:
        table = read_table(CORPUS_PATH, CORPUS)
        split_of = dict(zip(table["doc_id"].to_pylist(), table["split"].to_pylist(), strict=True))
        documents = list(zip(table["split"].to_pylist(), table["text"].to_pylist(), strict=True))
        rephrased = rephrased_texts(REPHRASED_PATH, split_of)
        documents += [("train", text) for text in rephrased]
        overlaps: dict[str, int] = {}
        index_of_benchmarks = Index()
        if stage.params.decontaminate:
            index_of_benchmarks, absent = benchmark_index()
            found = decontaminate((text for _, text in documents), index_of_benchmarks)
            documents, overlaps = [documents[k] for k in found.kept], found.dropped
            if absent:
                print(f"tokens: not compared with {', '.join(absent)}: their data is not installed", flush=True)
        if not any(split == "train" for split, _ in documents):
            raise InputError(f"{CORPUS_PATH}: no training documents")
        tokenizer = load_tokenizer(TOKENIZER)
        with write_atomic(OUT) as tmp, stage.progress(len(documents), "doc") as progress:
            writer = ShardWriter(
                tmp,
                vocab_size=tokenizer.vocab_size,
                bos=tokenizer.bos,
                shard_tokens=stage.params.shard_tokens,
            )
            for at in range(0, len(documents), BATCH):
                part = documents[at : at + BATCH]
                encoded = tokenizer.encode_batch([text for _, text in part])
                for (split, _), ids in zip(part, encoded, strict=True):
                    writer.add(split, [tokenizer.bos, *ids, tokenizer.eos])
                progress.update(len(part))
            index = writer.close(
                {
                    "eos": tokenizer.eos,
                    "pad": tokenizer.pad,
                    "tokenizer_sha256": sha256_file(TOKENIZER / "tokenizer.json"),
                }
            )
            write_table(tmp / FILE, index_of_benchmarks.rows(), NGRAMS)
        splits = index["splits"]
        counts = {f"{name}_tokens": one["tokens"] for name, one in splits.items()}
        counts |= {f"{name}_documents": one["documents"] for name, one in splits.items()}
        shards = sum(len(one["shards"]) for one in splits.values())
        stage.finish(
            f"{counts['train_tokens']:,} training tokens in {counts['train_documents']:,} documents "
            f"({len(rephrased):,} rephrased), {shards} shards, {sum(overlaps.values())} overlaps left out",
            metrics={
                **counts,
                "rephrased_documents": len(rephrased),
                "shards": shards,
                **{f"overlap_{name}": count for name, count in sorted(overlaps.items())},
            },
        )


if __name__ == "__main__":
    main()
