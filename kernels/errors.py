"""What a user set that can't be."""


class ConfigError(ValueError):
    """A configuration or a setting that can't be; the message names the key."""
