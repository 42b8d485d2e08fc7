"""What every benchmark is made of: samples whose gold stands apart, episodes, grades, settings, manifests."""

import hashlib
import importlib.metadata
import importlib.util
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq

from gym.sandbox import LOCAL, Box
from gym.verifiers.result import Result, Status

Message = Mapping[str, Any]
Row = TypeVar("Row")


class DataError(Exception):
    """A benchmark's data is missing or not in the official schema."""


class ContextExceeded(Exception):
    """Thrown into an episode whose next question is longer than the model's context: what it has so far counts."""


@dataclass(frozen=True)
class Manifest:
    """Where the samples come from. `name` stands beside every score: `builtin-…` is made here, never official."""

    name: str
    source: str
    version: str
    licence: str
    count: int
    sha256: str


@dataclass(frozen=True)
class Settings:
    """How a benchmark is run.

    Attributes:
        repeats: independent samples of each item (k of avg@k).
        max_tokens: of one answer, thinking included.
        max_steps: turns of the model in one episode.
        context: tokens of prompt and answer together.
        source: where the setting is published.
    """

    repeats: int
    temperature: float
    top_p: float
    max_tokens: int
    max_steps: int = 200
    source: str = ""
    context: int = 131_072


K2 = Settings(1, 0.6, 1.0, 8192, source="K2 report, table 3 and its notes; README")
K2_THINKING = Settings(1, 1.0, 0.95, 98304, max_steps=300, source="K2 Thinking model card, notes 1-6", context=262_144)
PRESETS = ("k2", "k2-thinking")


@dataclass(frozen=True)
class Sample:
    """One question to a model.

    Attributes:
        gold: what the scorer needs; never shown to the model.
        group: a breakdown such as a subject or a category.
        secret: the text must not leave its package: logs hold a hash of it.
    """

    id: str
    messages: tuple[Message, ...]
    gold: Mapping[str, Any] = field(repr=False)
    repeat: int = 0
    tools: tuple[Mapping[str, Any], ...] = ()
    group: str = ""
    secret: bool = False


@dataclass(frozen=True)
class Choices:
    """A multiple-choice question without letters: which of `choices` goes on with `context`, behind a space.

    Attributes:
        right: the index of the right one.
    """

    context: str
    choices: tuple[str, ...]
    right: int


@dataclass(frozen=True)
class Ask:
    """What an episode wants from the model next."""

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    of: str = "model"  # or "user": the simulated user of a dialogue, another model


@dataclass(frozen=True)
class Reply:
    """What the model said; `tool_calls` in the OpenAI shape."""

    text: str
    reasoning: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str = "stop"


@dataclass(frozen=True)
class Grade:
    """The verdict of the official rule, what was read out of the answer, and further numbers by name."""

    result: Result
    extracted: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)


Episode = Generator[Ask, Reply, Grade]


class Benchmark(ABC):
    """A family: its samples, its rule, its published settings.

    Attributes:
        name: the stable name of its metric.
        manifest: of the data behind `samples`.
        sandbox: whether episodes run programs; then `box` is set before the first one.
        backend: where they run; the evaluation sets it.
        stratified: the headline is made of groups: a part of the items has some of each, and `overall` weighs them.
        multiple_choice: every item has `choices`.
        agent: who works where an episode gives a model tools; the evaluation sets it.
    """

    name: str
    manifest: Manifest
    sandbox = False
    stratified = False
    multiple_choice = False
    agent: Any = None
    presets: Mapping[str, Settings] = {"k2": K2, "k2-thinking": K2_THINKING}

    def __init__(self) -> None:
        self.box: Box | None = None
        self.backend = LOCAL

    def open_box(self) -> AbstractContextManager[Box]:
        """The sandbox that `box` is to be."""
        return self.backend.open(shell=False)

    @abstractmethod
    def items(self) -> list[Sample]:
        """Every item once, in the official order."""

    def texts(self) -> list[str]:
        """What must not be trained on, a text an item: the same instructions in many show what is no question."""
        return ["\n".join(str(message["content"]) for message in item.messages) for item in self.items()]

    def tool_names(self) -> list[str]:
        """The functions that are declared to a model, by the data set's own names: what must not be trained on."""
        return sorted({tool["function"]["name"] for item in self.items() for tool in item.tools})

    def samples(self, repeats: int = 1) -> list[Sample]:
        """Every item `repeats` times."""
        return [replace(item, repeat=k) for k in range(repeats) for item in self.items()]

    def episode(self, sample: Sample) -> Episode:
        """One question, one answer; families with turns override this."""
        reply = yield Ask(sample.messages, sample.tools)
        return self.grade(sample, reply)

    @abstractmethod
    def grade(self, sample: Sample, reply: Reply) -> Grade:
        """The official rule."""

    @abstractmethod
    def gold_reply(self, sample: Sample) -> Reply:
        """The answer in the form a perfect model gives it: scores 1."""

    def choices(self, sample: Sample) -> Choices:
        """The question for a comparison of log-likelihoods; only a multiple-choice family has it."""
        raise DataError(f"{self.name}: no multiple-choice questions")

    def overall(self, means: Mapping[str, float]) -> float | None:
        """The headline of a stratified benchmark from the mean of each group; None when a group is missing."""
        return None

    def summary(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Further metrics by suffix, from rows with `id`, `group`, `score` and `parts`."""
        return {}

    def needed_box(self) -> Box:
        if self.box is None:
            raise DataError(f"{self.name}: its answers run in a sandbox, and none is open")
        return self.box


def no_answer(reason: str, **parts: float) -> Grade:
    return Grade(Result(0.0, Status.NO_ANSWER, reason), "", parts)


def scored(right: bool, extracted: str, reason: str = "", **parts: float) -> Grade:
    return Grade(Result(float(right), Status.SCORED, reason or ("right" if right else "wrong")), extracted, parts)


def mean_part(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    """The mean of one of the further numbers of `Grade.parts`."""
    return sum(float(row["parts"][name]) for row in rows) / len(rows)


def user(text: str) -> tuple[Message, ...]:
    return ({"role": "user", "content": text},)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file, or of a JSON list.

    Raises:
        DataError: unreadable, or not JSON.
    """
    try:
        text = path.read_text(encoding="utf-8")
        rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in _lines(text)]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}") from None
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path}: no JSON objects")
    return rows


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """Raises DataError when it is unreadable."""
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}") from None
    return rows


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a parquet, JSON Lines or JSON file; of a folder, those of its parquet or its JSON Lines files.

    Raises:
        DataError: no such file, both kinds in a folder, or a broken one.
    """
    files = [path] if path.is_file() else [file for file in shown_files(path) if file.suffix in (".jsonl", ".parquet")]
    if not files or len({file.suffix for file in files}) > 1:
        raise DataError(f"{path}: needs files of one kind, .jsonl or .parquet")
    return [row for file in files for row in (read_parquet if file.suffix == ".parquet" else read_jsonl)(file)]


def shown_files(folder: Path) -> list[Path]:
    """The files of a folder, without hidden ones: download tools leave notes of their own there."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def sha256_files(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def sha256_json(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def package_folder(module: str) -> Path | None:
    """Where an installed package's files lie, without importing it; None when it isn't installed."""
    spec = importlib.util.find_spec(module)
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def package_manifest(name: str, distribution: str, licence: str, count: int, files: Sequence[Path]) -> Manifest:
    version = importlib.metadata.version(distribution)
    return Manifest(name, f"package {distribution}", version, licence, count, sha256_files(files))


def path_manifest(name: str, path: Path, count: int) -> Manifest:
    """Of official data that the user brought; the name holds the beginning of its hash."""
    digest = sha256_files([path] if path.is_file() else shown_files(path))
    return Manifest(f"{name}@{digest[:8]}", path.name, digest[:8], "as distributed", count, digest)


def builtin_manifest(name: str, items: Sequence[Any], version: str = "1") -> Manifest:
    """Of items that this repository's generator made."""
    return Manifest(f"builtin-{name}", "generated here", version, "Apache-2.0", len(items), sha256_json(items))


@dataclass(frozen=True)
class Packaged:
    """Official data that an installed package carries: its module and distribution, and files below the module."""

    module: str
    distribution: str
    licence: str
    files: tuple[str, ...]

    def paths(self) -> list[Path]:
        """The files, or none when the package isn't installed."""
        folder = package_folder(self.module)
        return [] if folder is None else [folder / file for file in self.files]


def official(
    name: str, path: Path | None, read: Callable[[Path], list[Row]], package: Packaged | None = None
) -> tuple[list[Row], Manifest]:
    """Official rows: the user's file's, else the installed package's.

    Raises:
        DataError: neither is there; or by `read`, when the data isn't in the official schema.
    """
    if path is not None:
        rows = read(path)
        return rows, path_manifest(name, path, len(rows))
    if package is None:
        raise DataError(f"{name}: needs its official items by a path")
    paths = package.paths()
    if not paths:
        raise DataError(f"{name}: needs the package {package.distribution} (pip install -r requirements-data.txt)")
    rows = [row for file in paths for row in read(file)]
    return rows, package_manifest(name, package.distribution, package.licence, len(rows), paths)


def built_in(
    name: str,
    path: Path | None,
    rows: list[Row],
    *,
    version: str = "1",
    listed: Callable[[Row], Any] = lambda row: row,
) -> tuple[list[Row], Manifest]:
    """Rows that were generated here, under a name that is no official one.

    Args:
        listed: a row as JSON, for the hash of the set.

    Raises:
        DataError: the user names data for it.
    """
    takes_no_data(name, path)
    return rows, builtin_manifest(name, [listed(row) for row in rows], version)


def takes_no_data(name: str, path: Path | None) -> None:
    """Raises DataError when a generated set is given data."""
    if path is not None:
        raise DataError(f"{path}: {name} is generated and takes no data")


def missing(row: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    """Raises DataError when a row lacks a field of the official schema."""
    for key in keys:
        if key not in row:
            raise DataError(f"{where}: no field {key!r}")
