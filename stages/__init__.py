"""One package per DVC stage, run as `python -m stages.<name>`."""

import gc
import os

# Imports make half a million objects that stay: walking them again and again takes a tenth of a start. A stage ends it.
COLLECTOR = gc.get_threshold()  # as Python came
gc.set_threshold(100_000, 20, 20)
# Read when torch loads its OpenMP runtime: threads that wait must not spin, or a busy machine slows tenfold.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
