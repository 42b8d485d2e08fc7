"""One package per DVC stage, run as `python -m stages.<name>`."""

import os

# Read when torch loads its OpenMP runtime: threads that wait must not spin, or a busy machine slows tenfold.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
