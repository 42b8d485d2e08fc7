"""What is told in one line: what a user gave that can't be, and numbers that aren't any."""

from kernels.errors import ConfigError as ConfigError


class CheckpointError(ValueError):
    """A checkpoint that can't be loaded; the message names the file or the tensor."""


class NotFiniteError(FloatingPointError):
    """A loss, gradient or weight that is NaN or infinite; the message names it. Nothing was written with it."""
