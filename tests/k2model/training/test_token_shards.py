"""Shards and the stream: each document once an epoch, one text for every cut, damage named."""

import hashlib
import json
import tracemalloc

import numpy as np
import pytest

from k2model.errors import CheckpointError, ConfigError
from k2model.training.token_shards import INDEX, ShardWriter, TokenStream, read_index

BOS = 1


@pytest.fixture
def folder(tmp_path):
    """Forty documents of 2 to 20 tokens in shards of about 60, and three for validation."""
    rng = np.random.default_rng(0)
    writer = ShardWriter(tmp_path, vocab_size=300, bos=BOS, shard_tokens=60)
    for number in range(40):
        writer.add("train", [BOS, *rng.integers(2, 300, rng.integers(1, 20)).tolist()])
        if number < 3:
            writer.add("validation", [BOS, 200 + number])
    writer.close({"eos": 2})
    return tmp_path


def documents(stream):
    return [stream.document(number).tolist() for number in range(stream.documents)]


def test_the_index_tells_what_is_there(folder):
    index = read_index(folder)
    train = index["splits"]["train"]
    assert index["eos"] == 2 and index["dtype"] == "<u2"
    assert train["documents"] == 40 and len(train["shards"]) > 3
    assert sum(shard["tokens"] for shard in train["shards"]) == train["tokens"]


def random_documents():
    rng = np.random.default_rng(3)
    return [
        (["train", "train", "validation"][rng.integers(3)], rng.integers(0, 300, rng.integers(1, 50)).tolist())
        for _ in range(400)
    ]


def reference(added):
    """The files of a folder as lists of all documents give them."""
    files = {}
    for split in ("train", "validation"):
        own = [ids for name, ids in added if name == split]
        starts = np.cumsum([0, *map(len, own)])[:-1].astype("<u8")
        files[f"{split}-documents.bin"] = starts.tobytes()
        shard = []
        shards = [shard]
        for ids in own:
            if len(shard) >= 60:
                shard = []
                shards.append(shard)
            shard += ids
        files |= {f"{split}-{number:05}.bin": np.array(ids, "<u2").tobytes() for number, ids in enumerate(shards)}
    return files


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != INDEX}


def test_the_files_are_those_that_lists_give_and_the_index_has_their_hashes(tmp_path):
    writer = ShardWriter(tmp_path, vocab_size=300, bos=BOS, shard_tokens=60)
    for split, ids in random_documents():
        writer.add(split, ids)
    writer.close()
    wanted = reference(random_documents())
    assert contents(tmp_path) == wanted
    for entry in read_index(tmp_path)["splits"].values():
        for file in (entry["starts"], *entry["shards"]):
            assert file["sha256"] == hashlib.sha256(wanted[file["file"]]).hexdigest()


@pytest.mark.parametrize("place", [1, 57, 200, 399])
def test_a_writer_goes_on_where_another_kept(tmp_path, place):
    added = random_documents()
    folder, progress = tmp_path / "shards", tmp_path / "progress.json"

    def start():
        return ShardWriter(folder, vocab_size=300, bos=BOS, shard_tokens=60, progress=progress)

    writer = start()
    assert writer.note is None
    for split, ids in added[:place]:
        writer.add(split, ids)
    writer.keep({"place": place})
    finished = {path: path.stat().st_mtime_ns for path in folder.glob("train-0*.bin")}
    for split, ids in added[place : place + 150]:  # what a killed run had written after that doesn't count
        writer.add(split, ids)
    del writer
    again = start()
    assert again.note == {"place": place}
    for split, ids in added[place:]:
        again.add(split, ids)
    again.keep({"place": 400})
    first = again.close()
    assert contents(folder) == reference(added)
    for path, written in sorted(finished.items())[:-1]:
        assert path.stat().st_mtime_ns == written
    assert start().close() == first
    assert contents(folder) == reference(added)


def test_memory_does_not_grow_with_what_was_added(tmp_path):
    writer = ShardWriter(tmp_path, vocab_size=300, bos=BOS, shard_tokens=10**9)
    document = np.full(1000, 7)
    tracemalloc.start()
    peaks = []
    for _ in range(3):
        tracemalloc.reset_peak()
        for _ in range(1000):
            writer.add("train", document)
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert max(peaks) < 500_000  # a thousand documents are 2 MB
    assert peaks[2] - peaks[0] < 50_000
    writer.close()


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_an_epoch_is_every_document_once_in_an_order_of_its_own(folder, epoch):
    stream = TokenStream(folder, "train", 5)
    ids = stream.read(epoch * stream.epoch_tokens, stream.epoch_tokens)
    starts = np.flatnonzero(ids == BOS).tolist()
    found = [ids[a:b].tolist() for a, b in zip(starts, [*starts[1:], len(ids)], strict=True)]
    assert sorted(found) == sorted(documents(stream))
    assert found != documents(stream)  # not the order on disk
    others = [stream.read(other * stream.epoch_tokens, stream.epoch_tokens) for other in (epoch + 1, epoch + 2)]
    assert all((other != ids).any() for other in others)
    assert (TokenStream(folder, "train", 6).read(epoch * stream.epoch_tokens, stream.epoch_tokens) != ids).any()


def test_any_cut_reads_the_same_text(folder):
    whole = TokenStream(folder, "train", 5).read(0, 3 * 400)
    for size in (1, 7, 64, 399):
        stream = TokenStream(folder, "train", 5)
        parts = [stream.read(at, min(size, 1200 - at)) for at in range(0, 1200, size)]
        assert np.array_equal(np.concatenate(parts), whole), size
    backwards = TokenStream(folder, "train", 5)
    parts = [backwards.read(at, 100) for at in range(1100, -1, -100)]
    assert np.array_equal(np.concatenate(parts[::-1]), whole)


def test_no_seed_keeps_the_order_on_disk(folder):
    stream = TokenStream(folder, "validation", None)
    assert stream.read(0, 8).tolist() == [BOS, 200, BOS, 201, BOS, 202, BOS, 200]


def test_a_batch_predicts_the_next_token_and_counts_documents(folder):
    stream = TokenStream(folder, "train", 5)
    batch = stream.batch(30, 4, 25)
    text = stream.read(30, 101)
    assert batch.tokens_BL.flatten().tolist() == text[:-1].tolist()
    assert batch.targets_BL.flatten().tolist() == text[1:].tolist()
    for row, segments in zip(batch.tokens_BL.tolist(), batch.segments_BL.tolist(), strict=True):
        assert segments == np.cumsum(np.array(row) == BOS).tolist()


def test_the_documents_of_a_stretch_are_those_that_it_reads(folder):
    stream = TokenStream(folder, "train", 5)
    for position, count in ((0, 1), (13, 90), (stream.epoch_tokens - 10, 30)):
        text = stream.read(position, count).tolist()
        named = stream.documents_at(position, count)
        joined = [token for number in named for token in stream.document(number).tolist()]
        at = joined.index(text[0]) if count == 1 else next(k for k in range(20) if joined[k : k + count] == text)
        assert at < len(stream.document(named[0]))  # the first one is really touched
        assert len(joined) - at - count < len(stream.document(named[-1]))  # and so is the last


def test_damage_is_named(folder):
    shard = folder / "train-00001.bin"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-2])
    with pytest.raises(CheckpointError, match=rf"train-00001\.bin: {len(whole) - 2} bytes, {INDEX} says {len(whole)}"):
        TokenStream(folder, "train", 5)
    shard.unlink()
    with pytest.raises(CheckpointError, match=r"train-00001\.bin: not found"):
        TokenStream(folder, "train", 5)


def test_a_wrong_index_is_named(folder):
    path = folder / INDEX
    with pytest.raises(CheckpointError, match="no split named 'test'"):
        TokenStream(folder, "test", 0)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 9}))
    with pytest.raises(CheckpointError, match="format 9, expected 1"):
        read_index(folder)
    path.write_text("{")
    with pytest.raises(CheckpointError, match="not JSON"):
        read_index(folder)
    path.unlink()
    with pytest.raises(CheckpointError, match="not found"):
        read_index(folder)


def test_an_id_outside_the_vocabulary(tmp_path):
    writer = ShardWriter(tmp_path, vocab_size=300, bos=BOS, shard_tokens=60)
    with pytest.raises(ConfigError, match="token id 300 is outside the vocabulary of 300"):
        writer.add("train", [BOS, 300])
    with pytest.raises(ConfigError, match="shard_tokens"):
        ShardWriter(tmp_path, vocab_size=300, bos=BOS, shard_tokens=0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda index: [], "not a JSON object"),
        (lambda index: index | {"dtype": "float64"}, "broken: ValueError: dtype 'float64'"),
        (lambda index: index | {"dtype": None}, "broken"),
        (lambda index: {key: value for key, value in index.items() if key != "bos"}, "broken: KeyError: 'bos'"),
        (lambda index: index | {"vocab_size": "300"}, "broken: ValueError"),
        (lambda index: index | {"splits": []}, "broken: AttributeError"),
        (lambda index: index | {"splits": {"train": {}}}, "broken: KeyError: 'tokens'"),
        (lambda index: index | {"splits": {"train": index["splits"]["train"] | {"documents": -1}}}, "broken"),
        (lambda index: index | {"splits": {"train": index["splits"]["train"] | {"shards": None}}}, "broken: TypeError"),
    ],
)
def test_an_index_of_another_shape_is_named(folder, change, says):
    path = folder / INDEX
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(CheckpointError) as caught:
        TokenStream(folder, "train", 0)
    assert str(caught.value).startswith(f"{path}: {says}")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b"", b'{"format": ' + b"1" * 5000 + b"}"])
def test_an_index_that_is_no_json_is_named(folder, content):
    (folder / INDEX).write_bytes(content)
    with pytest.raises(CheckpointError, match="not JSON"):
        read_index(folder)


def test_a_split_without_tokens_is_named(folder):
    path = folder / INDEX
    index = json.loads(path.read_text())
    index["splits"]["train"] |= {"tokens": 0, "documents": 0, "shards": []}
    path.write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="split 'train' is empty"):
        TokenStream(folder, "train", 0)
