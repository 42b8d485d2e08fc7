"""`optimizer` and layout of a stage that tunes everything with MuonClip, for tests that make their own parameters."""

from typing import Any

ONE_PROCESS = {"ranks": 1, "compute": "float32", "zero": 0, "expert_parallel": 1, "recompute": "none"}


def muonclip(weight_decay: float, **changes: Any) -> dict[str, Any]:
    rates = {"attention": 1.0, "feed_forward": 1.0, "embeddings": 1.0, "first_layer": 0}
    values = {"matrices": "muon", "momentum": 0.95, "weight_decay": weight_decay, "clip_norm": 0.0, "tau": 100.0}
    return values | {"rates": rates, "vocabulary_rows": "all"} | changes
