"""What `tests.forked` imports once for all its processes."""

import gc
import os

os.environ["DS_ACCELERATOR"] = "cpu"
import datasketch  # noqa: F401
import deepspeed  # noqa: F401
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

import stages.pretrain.loop
import stages.tracking.sender  # noqa: F401

gc.freeze()  # no process of these walks through what it only has from here
