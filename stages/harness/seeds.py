"""Every random choice hangs on `params.yaml: seed`, through a name."""

import hashlib

import numpy as np


def sub_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the choice called `names`, independent of every other name.

    Adding a new random choice under its own name never shifts the others, so outputs stay comparable
    between versions.
    """
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def seed32(seed: int, *names: str | int) -> int:
    """`sub_seed` for what takes a signed 32-bit integer."""
    return sub_seed(seed, *names) % 2**31


def rng(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator on `sub_seed(seed, *names)`."""
    return np.random.Generator(np.random.PCG64(sub_seed(seed, *names)))
