"""What `base` in params.yaml names: the embedded teacher, a dense network, a folder in K2's layout, or nothing yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tokenizers import AddedToken, Tokenizer

from agents.chat.embedded.teacher import teacher_file
from agents.chat.protocol import ChatError
from k2model.chat.tokenizer import read_vocabulary
from stages.harness.errors import InputError

if TYPE_CHECKING:
    from k2model.formats.dense import DenseModel

Kind = Literal["scratch", "gguf", "dense", "k2"]


@dataclass(frozen=True)
class Source:
    """`path` is a GGUF file, a folder, or None for scratch."""

    kind: Kind
    path: Path | None


def find_source(model: str) -> Source:
    """What `base` names.

    Raises:
        InputError: a path that isn't there, or a folder that holds no model that can be a base.
    """
    if model == "scratch":
        return Source("scratch", None)
    if model == "embedded":
        try:
            return Source("gguf", teacher_file())
        except ChatError as error:
            raise InputError(f"base: {error}") from None
    path = Path(model)
    if path.is_file():
        return Source("gguf", path)
    if not path.is_dir():
        raise InputError(f"base: {model}: neither embedded, nor scratch, nor a folder, nor a GGUF file")
    from k2model.formats.dense_folder import is_dense  # with torch, which a vocabulary alone doesn't need
    from k2model.formats.shards import read_json

    return Source("dense" if is_dense(read_json(path / "config.json")) else "k2", path)


def vocabulary(source: Source) -> Tokenizer:
    """The tokenizer of a base as it was published, its control tokens as added tokens.

    Raises:
        ConfigError, CheckpointError: none that can be read.
    """
    assert source.path is not None
    if source.kind == "gguf":
        from k2model.formats.dense_gguf import load_gguf_vocabulary

        return _with_control(*load_gguf_vocabulary(source.path))
    return read_vocabulary(source.path)


def _with_control(tokenizer: Tokenizer, control: tuple[int, ...]) -> Tokenizer:
    names = [tokenizer.id_to_token(number) for number in control]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    return tokenizer


def open_dense(source: Source) -> tuple[DenseModel, Tokenizer]:
    """The dense network of a GGUF file or a folder, in float32, and its own tokenizer; see the readers for refusals."""
    import torch

    from k2model.formats.dense import DenseModel
    from k2model.formats.dense_folder import load_dense
    from k2model.formats.dense_gguf import load_gguf

    assert source.path is not None
    if source.kind == "dense":
        return DenseModel(*load_dense(source.path, torch.float32)), read_vocabulary(source.path)
    loaded = load_gguf(source.path, torch.float32)
    return DenseModel(loaded.config, loaded.weights), _with_control(loaded.tokenizer, loaded.control)
