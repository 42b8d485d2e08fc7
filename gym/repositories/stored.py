"""Proven tasks as the stage `repositories` left them, with their projects and a sandbox for each."""

import threading
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from gym.repositories.errors import RepositoryError
from gym.repositories.libraries import open_project
from gym.repositories.project import Project
from gym.repositories.store import LIBRARIES, read_project
from gym.repositories.task import RepairTask
from gym.sandbox import LOCAL, Backend, Box

TABLE, FOLDER = Path("data/repairs.parquet"), "repositories"  # the folder of projects stands beside the table


class StoredTasks:
    """Tasks of a table; a project is read and its sandbox opened when first asked for. Threads may share it.

    Args:
        table: parquet with the columns of `RepairTask.row` and `held`; the projects lie in `repositories` beside it.
        workers: jobs at once in the sandbox of each project.

    Raises:
        RepositoryError: no such table, or one of another kind.
    """

    def __init__(self, table: Path = TABLE, workers: int = 1, backend: Backend = LOCAL) -> None:
        try:
            rows = pq.read_table(table).to_pylist()
            tasks = [(RepairTask.from_row(row), row["held"]) for row in rows]
        except FileNotFoundError:
            raise RepositoryError(f"{table}: not found; the stage repositories makes it") from None
        except (pa.ArrowException, OSError, KeyError) as error:
            raise RepositoryError(f"{table}: no table of repair tasks: {error}") from None
        self._sides = {side: [task for task, held in tasks if held is side] for side in (False, True)}
        self.folder, self.workers, self.backend = table.parent / FOLDER, workers, backend
        self._opened: dict[str, Box] = {}
        self._lock, self._stack = threading.Lock(), ExitStack()
        self.project = lru_cache(maxsize=None)(self._project)

    def of(self, *, held: bool) -> list[RepairTask]:
        """Those to learn from, or those that are for evaluation alone."""
        return self._sides[held]

    def _project(self, name: str) -> Project:
        try:
            return read_project(self.folder, name)
        except FileNotFoundError:
            raise RepositoryError(f"{self.folder}: no project {name}") from None

    def box(self, name: str) -> Box:
        """The sandbox of a project, open until this is closed.

        Raises:
            RepositoryError, SandboxError: see `open_project`.
        """
        with self._lock:
            if name not in self._opened:
                store = self.folder / LIBRARIES
                opened = open_project(self.project(name), store, self.workers, backend=self.backend)
                self._opened[name] = self._stack.enter_context(opened)
            return self._opened[name]

    def __enter__(self) -> "StoredTasks":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.clear()
        self._stack.close()
