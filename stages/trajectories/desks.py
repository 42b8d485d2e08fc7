"""The desks at which conversations are held: shapes of applications as tools.parquet has them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agents.worlds.application import Application, ApplicationError
from agents.worlds.reading import authored, parse
from agents.worlds.surface import Surface, shaped, surface
from stages.harness.errors import InputError


def surfaces(rows: Sequence[Mapping[str, Any]]) -> list[Surface]:
    """The shapes of applications that the table's tools belong to, in order; whole ones, near-duplicates too.

    Raises:
        InputError: there is none, or one that can't be made again.
    """
    shapes: dict[tuple[str, int], Surface] = {}
    apps: dict[str, Application] = {}
    for row in rows:
        if not row["state_model"]:
            continue
        state = json.loads(row["state_model"])
        key = (state["application"], state["shape"])
        if key in shapes:
            continue
        try:
            if "content" in state:
                if key[0] not in apps:
                    apps[key[0]] = parse(state["content"])
                shapes[key] = shaped(apps[key[0]], key[1])
            elif key[0] in authored():
                shapes[key] = surface(*key)
            else:
                raise InputError(f"data/tools.parquet: no application {key[0]}; run the stage tools again")
        except ApplicationError as error:
            raise InputError(f"data/tools.parquet: {error}") from None
    if not shapes:
        raise InputError("data/tools.parquet: no tools of applications; raise tools.shapes")
    return list(shapes.values())
