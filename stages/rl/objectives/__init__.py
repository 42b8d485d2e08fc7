"""The losses of RL, one file an algorithm; all take the same `PolicyBatch` of one prompt group or more."""
