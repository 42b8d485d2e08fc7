"""The stage graph, read from `dvc.yaml` through DVC's own API. The one file that uses `Repo.index`."""

from dataclasses import dataclass
from pathlib import Path, PurePath

import networkx as nx
from dvc.repo import Repo

from stages.harness.errors import InputError


@dataclass(frozen=True)
class Node:
    """One stage.

    Attributes:
        name: `evaluate@aime` for a templated one.
        needs: the stages that it waits for.
        outs: what it makes, with metrics and plots.
        reads: outputs of other stages of which it reads all or a part.
    """

    name: str
    needs: tuple[str, ...]
    description: str
    outs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


def stage_graph(root: Path = Path()) -> list[Node]:
    """Every stage with a command, dependencies first."""
    with Repo(str(root)) as repo:
        graph = repo.index.graph
        runs = {stage for stage in graph if stage.cmd and not stage.frozen}
        made = [str(out) for stage in runs for out in stage.outs]
        return [
            Node(
                stage.addressing,
                tuple(sorted(need.addressing for need in graph.successors(stage) if need in runs)),
                getattr(stage, "desc", None) or "",
                tuple(str(out) for out in stage.outs),
                tuple(sorted(out for out in made if any(PurePath(str(dep)).is_relative_to(out) for dep in stage.deps))),
            )
            for stage in nx.lexicographical_topological_sort(graph.reverse(), key=lambda stage: stage.addressing)
            if stage in runs
        ]


def restrict(nodes: list[Node], targets: list[str]) -> list[Node]:
    """`targets` and everything upstream of them, in the same order; all nodes when `targets` is empty.

    Raises:
        InputError: a target that is no stage.
    """
    if not targets:
        return nodes
    by_name = {node.name: node for node in nodes}
    unknown = [target for target in targets if target not in by_name]
    if unknown:
        raise InputError(f"dvc.yaml: no stage named {unknown[0]!r}; stages: {', '.join(by_name)}")
    wanted: set[str] = set()
    stack = list(targets)
    while stack:
        name = stack.pop()
        if name not in wanted:
            wanted.add(name)
            stack.extend(by_name[name].needs)
    return [node for node in nodes if node.name in wanted]
