"""What can be known to be wrong before anything runs: `python -m stages.preflight`.

DVC removes a stage's outputs before it starts the stage, so `make repro` and the flow look first.
"""

import shutil
import sys
from pathlib import Path

from stages.corpus.files import user_files
from stages.corpus.user import check_parquet
from stages.dial import Params, load_params
from stages.harness import checkout_lock
from stages.harness.arguments import no_arguments
from stages.harness.errors import InputError
from stages.inputs import outside_paths

MIN_FREE_BYTES = 500 * 2**20


def check_paths(params: Params) -> None:
    """Raises InputError for a path that is missing, or a file of corpus.paths that isn't what its name says."""
    outside_paths(params)
    for file in user_files(params.corpus.paths)[0]:
        if file.kind == ".parquet":
            check_parquet(file)


def check_disk(root: Path) -> None:
    """Raises InputError when less than half a gigabyte is free."""
    free = shutil.disk_usage(root).free
    if free < MIN_FREE_BYTES:
        raise InputError(f"{root.resolve()}: only {free / 2**20:.0f} MiB of disk free, {MIN_FREE_BYTES >> 20} needed")


def preflight() -> Params:
    """Checks parameters, paths, disk and that no other run is active here.

    Raises:
        InputError: one line that names the key, the file or the other run.
    """
    params = load_params()
    check_paths(params)
    check_disk(Path())
    checkout_lock.refuse_if_busy(Path("work"))
    return params


def main() -> None:
    try:
        preflight()
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    no_arguments("preflight")
    main()
