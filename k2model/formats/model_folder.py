"""A model folder that stands alone: all that any program needs to load the model, to talk with it, to know what it is.

`config.json` and the weights, `tokenizer.json`, `tokenizer_config.json`, `chat_template.jinja`,
`generation_config.json` (every token that ends a turn), `provenance.json` (the stages that made it), `README.md` (the
card made of them) and, last, `manifest.json`.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from k2model.chat.messages import TEMPLATE
from k2model.chat.template import differences
from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer, tokenizer_files
from k2model.config import K2Config
from k2model.errors import CheckpointError, ConfigError
from k2model.files import write_atomic
from k2model.formats.checkpoint import load_config, save_checkpoint
from k2model.formats.int4_checkpoint import save_int4_checkpoint
from k2model.formats.model_card import DataSource, StageRecord, model_card
from k2model.formats.reference import write_reference
from k2model.formats.shards import read_json, write_manifest
from k2model.model import K2Model

PROVENANCE = "provenance.json"


def save_model_folder(
    model: K2Model,
    path: Path,
    tokenizer: K2Tokenizer,
    records: Sequence[StageRecord],
    *,
    dtype: torch.dtype | None = None,
    int4: bool = False,
    tensors: Iterable[tuple[str, Tensor]] | None = None,
) -> None:
    """Writes `model` and all that belongs to it to `path` (replaced at once when it exists). Same model, same bytes.

    Args:
        records: the stages that made the model, the first one first: `read_provenance(start)` and the present one.
        dtype: of the weights in the file, that in memory by default.
        int4: routed experts in INT4 (compressed-tensors), the rest in bfloat16.
        tensors: all of the network's, taken one by one; by default what `model` holds. Not for INT4.

    Raises:
        NotFiniteError, CheckpointError: a weight isn't finite; nothing is written.
        ConfigError: INT4 with a width that groups of 32 don't divide.
    """
    files = companions(model.config, tokenizer, records, int4=int4)
    if int4:
        save_int4_checkpoint(model, path, files=files)
    else:
        save_checkpoint(model, path, dtype=dtype, files=files, tensors=tensors)


def save_reference_folder(weights: Path, path: Path, tokenizer: K2Tokenizer, records: Sequence[StageRecord]) -> None:
    """Writes a model folder whose weights stay in the folder `weights`, for a model too large to copy.

    `config.json` is that of `weights` with the ends of `tokenizer`; `base.json` stands in the place of the shards.

    Raises:
        CheckpointError: no model in `weights`.
        ConfigError: a tokenizer with more tokens than the network has rows.
    """
    config = load_config(weights)
    check_rows(tokenizer, config.vocab_size, path / "tokenizer.json")
    config = config.replace(**tokenizer.config_ids)
    with write_atomic(path) as folder:
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config.to_hf_dict(), indent=2, sort_keys=True) + "\n")
        for name, text in companions(config, tokenizer, records).items():
            (folder / name).write_text(text, encoding="utf-8")
        write_reference(folder, weights)
        write_manifest(folder)


def companions(
    config: K2Config, tokenizer: K2Tokenizer, records: Sequence[StageRecord], *, int4: bool = False
) -> dict[str, str]:
    """Names and texts of the files beside the weights and `config.json`."""
    files = tokenizer_files(tokenizer.backend, chat_template=TEMPLATE, max_length=config.max_position_embeddings)
    generation = tokenizer.config_ids | {"eos_token_id": sorted(tokenizer.ends)}
    files["generation_config.json"] = json.dumps(generation, indent=2) + "\n"
    stages = [asdict(record) for record in records]
    files[PROVENANCE] = json.dumps({"stages": stages}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    files["README.md"] = model_card(config, records, int4=int4)
    return files


def folder_tokenizer(folder: Path, say: Callable[[str], None] = print) -> K2Tokenizer:
    """The tokenizer that belongs to the model of a folder; all its small files are read, before time is spent on it.

    Args:
        say: told when the folder's chat template renders otherwise than K2's format, which is what is used.

    Raises:
        ConfigError: it has none, a broken one, or one with more tokens than the network has.
        CheckpointError: no readable `config.json`; a `provenance.json` that this project did not write.
    """
    read_provenance(folder)
    tokenizer = load_tokenizer(folder)
    check_rows(tokenizer, load_config(folder).vocab_size, folder / "tokenizer.json")
    if others := differences(folder):
        say(f"{folder}: its chat template renders otherwise ({', '.join(others)}); K2's format is used in its place")
    return tokenizer


def check_rows(tokenizer: K2Tokenizer, rows: int, file: Path) -> None:
    """Raises ConfigError when a network with so many rows of embedding has none for a token."""
    if tokenizer.vocab_size > rows:
        raise ConfigError(f"{file}: {tokenizer.vocab_size} tokens; the network has {rows}")


def read_provenance(folder: Path) -> list[StageRecord]:
    """The stages that made the model of a folder; none where the folder doesn't say.

    Raises:
        CheckpointError: a `provenance.json` that this project did not write.
    """
    path = folder / PROVENANCE
    if not path.exists():
        return []
    try:
        return [_record(stage) for stage in read_json(path)["stages"]]
    except (KeyError, TypeError):
        raise CheckpointError(f"{path}: no list of the stages that made the model") from None


def _record(value: dict[str, Any]) -> StageRecord:
    """Raises KeyError or TypeError when `value` is none."""
    record = StageRecord(**{**value, "data": [DataSource(**source) for source in value["data"]]})
    texts = [record.stage, record.start, *(text for source in record.data for text in asdict(source).values())]
    numbers = dict(record.metrics).values()
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(n, (int, float)) for n in numbers):
        raise TypeError("a text or a number is none")
    return record
