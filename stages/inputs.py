"""`python -m stages.inputs`: hashes of the files and folders that `params.yaml` names, one small JSON a stage.

DVC's dependencies can't be a list from `params.yaml`, so this stage runs in every `dvc repro`, and a stage with such
parameters depends on `data/inputs/<stage>.json`: it runs again when the bytes of its own inputs changed. What the
pipeline itself makes is none of this: DVC knows it already.
"""

import sys
import time
from pathlib import Path
from typing import Any

from stages.dial import load_params
from stages.harness import declared
from stages.harness.arguments import no_arguments
from stages.harness.declared import Declared
from stages.harness.errors import InputError
from stages.harness.files import write_json
from stages.harness.inputs import FOLDER, FileHashes, check_path, content_hash, files_below, named_paths
from stages.harness.progress import Progress

STORE = Path("work/input_hashes.json")


def _upstream(name: str, graph: dict[str, Declared]) -> set[str]:
    """Every stage that `name` waits for."""
    direct = {
        other
        for other, wants in graph.items()
        if any(data.is_relative_to(out) for data in graph[name].data for out in wants.outs)
    }
    return direct.union(*(_upstream(other, graph) for other in direct))


def outside_paths(params: Any) -> dict[str, dict[str, Path]]:
    """Stage → key → path, of each stage that depends on `data/inputs/<stage>.json`.

    Raises:
        InputError: a path that is missing or can't be an input, or that a stage makes which doesn't come before.
    """
    graph = declared.graph()
    named: dict[str, dict[str, Path]] = {}
    for name, wants in graph.items():
        paths: dict[str, Path] = {}
        for section in wants.sections:
            value = params
            for part in section.split("."):
                value = getattr(value, part)
            for key, path in named_paths(value, section):
                inside = Path(path.absolute().relative_to(Path().absolute())) if _is_here(path) else path
                makers = [other for other, made in graph.items() if any(_overlap(inside, out) for out in made.outs)]
                if not makers:
                    check_path(key, path)
                    paths[key] = path
                elif makers[0] not in _upstream(name, graph):
                    raise InputError(f"{key}: {path}: made by the stage {makers[0]}, which {name} doesn't wait for")
        if FOLDER / f"{name}.json" in wants.data:
            named[name] = paths
        elif paths:
            raise InputError(f"dvc.yaml: {name} must depend on {FOLDER / name}.json: {next(iter(paths))} names a path")
    return named


def _overlap(path: Path, out: Path) -> bool:
    return path.is_relative_to(out) or out.is_relative_to(path)


def _is_here(path: Path) -> bool:
    return path.absolute().is_relative_to(Path().absolute())


def main() -> None:
    started = time.monotonic()
    try:
        named = outside_paths(load_params())
        hashes = FileHashes(STORE)
        sizes = [
            file.stat().st_size for paths in named.values() for path in paths.values() for file in files_below(path)
        ]
        with Progress("inputs", sum(sizes), "B") as progress:
            for name, paths in named.items():
                entries = {
                    key: {"path": str(path), "sha256": content_hash(key, path, hashes, progress.update)}
                    for key, path in paths.items()
                }
                write_json(FOLDER / f"{name}.json", entries)
        hashes.save()
    except InputError as error:
        print(f"inputs: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    count = sum(map(len, named.values()))
    seconds = time.monotonic() - started
    print(f"inputs: {count:,} paths, {len(sizes):,} files, {sum(sizes) / 1e6:,.1f} MB, {seconds:,.1f} s", flush=True)


if __name__ == "__main__":
    no_arguments("inputs")
    main()
