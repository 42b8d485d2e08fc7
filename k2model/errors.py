"""What a user gave that can't be: told in one line."""


class ConfigError(ValueError):
    """A model configuration that can't be; the message names the key."""


class CheckpointError(ValueError):
    """A checkpoint that can't be loaded; the message names the file or the tensor."""
