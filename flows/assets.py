"""The stages' outputs as Prefect assets: their keys, and their lineage by the graph of `dvc.yaml`.

A key is the output's place, so that two checkouts at one server have assets of their own. A stage that is cached
materializes nothing.
"""

from collections.abc import Sequence
from pathlib import Path

from prefect.assets import Asset, AssetProperties, add_asset_metadata

from flows.graph import Node
from flows.hooks import mlflow_link
from stages.tracking.dvc_store import locked


def key(path: str, root: Path = Path()) -> str:
    """`data/corpus.parquet` → `file:///…/data/corpus.parquet`."""
    return (root.resolve() / path).as_uri()


def of(nodes: Sequence[Node]) -> dict[str, Asset]:
    """Path → asset of everything that the stages make."""
    return {
        path: Asset(
            key=key(path), properties=AssetProperties(name=path, description=f"{node.name}: {node.description}")
        )
        for node in nodes
        for path in node.outs
    }


def describe(outs: Sequence[str], stage: str) -> None:
    """Tells each asset of the running stage its hash in `dvc.lock`, its size and its MLflow run."""
    hashes, link = locked(Path()), mlflow_link(stage)
    for path in outs:
        files = [Path(path)] if Path(path).is_file() else [one for one in Path(path).rglob("*") if one.is_file()]
        size = sum(file.stat().st_size for file in files)
        add_asset_metadata(key(path), {"md5": hashes.get(path, "none"), "bytes": size, "mlflow": link or "none"})
