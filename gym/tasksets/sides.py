"""Which side a task is on, by a hash of what it is about: no held one is ever trained on, whatever the seeds."""

import hashlib
from typing import Literal

Side = Literal["train", "held"]
HELD_SHARE = 0.2


def side_of(text: str, held_share: float = HELD_SHARE) -> Side:
    """The side that belongs to a text, by itself alone, so that others that come later move none."""
    place = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    return "held" if place < held_share * 2**32 else "train"
