"""Checkpoints of a training run: who may read the folder may read what is in it."""

import os
import stat
from pathlib import Path

import torch

from k2model.training.train_state import CheckpointWriter, key_of


def test_another_user_may_go_on_from_a_training_state_that_the_umask_lets_them_read(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        writer = CheckpointWriter(tmp_path, keep=1, background=False)
        writer.save(1, {key_of("master", "w", 0, 2): torch.zeros(2)}, {"step": 1})
    finally:
        os.umask(before)
    (folder,) = tmp_path.iterdir()
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o640}
