"""A process that trains never imports torch's compiler."""

import subprocess
import sys

from tests.conftest import ROOT, checkout_env

TRAINS = """
import sys
from pathlib import Path

import torch
from k2model.config import K2Config
from k2model.formats.checkpoint import meta_model
from k2model.model import K2Model
from k2model.training.engine import TrainEngine
from k2model.training.options import OptimizerOptions

meta_model(K2Config.preset("smoke"), Path("unread"))
engine = TrainEngine(K2Model(K2Config.preset("smoke")), OptimizerOptions(), micro_batches=1)

def loss(model, ids_BL):
    output = model(ids_BL[:, :-1], ids_BL[:, 1:])
    return output.loss, output

engine.apply(engine.accumulate(loss, [torch.zeros(1, 9, dtype=torch.int64)]), lr=0.01, bias_rate=0.001)
print("torch._dynamo" in sys.modules)
"""


def test_reading_a_model_and_training_it_leave_the_compiler_out() -> None:
    command = [sys.executable, "-c", TRAINS]
    done = subprocess.run(command, cwd=ROOT, env=checkout_env(), text=True, capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
