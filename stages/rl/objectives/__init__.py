"""The losses of RL, one file an algorithm; all take the same `Batch` of one prompt group or more."""
