"""What `tests.forked` imports once for all its processes."""

import os

os.environ["DS_ACCELERATOR"] = "cpu"
import deepspeed  # noqa: F401

import stages.pretrain.loop  # noqa: F401
