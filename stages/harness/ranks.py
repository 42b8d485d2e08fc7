"""A training stage as several processes, its ranks: all run the same stage, rank 0 alone records, prints and writes.

    if __name__ == "__main__":
        on_ranks("sft", SftParams, main)

The stage's section says how many there are. They are started on this machine, or by the command in `K2_LAUNCHER`; under
torchrun or DeepSpeed's launcher the ranks that exist are used.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable

from pydantic import Field

from stages.harness.checkout_lock import end_with_dvc, end_with_parent
from stages.harness.errors import InputError
from stages.harness.section import Section, load_section


class RanksSection(Section):
    """ranks: processes that train together."""

    ranks: int = Field(ge=1)


def on_ranks(stage: str, section: type[RanksSection], main: Callable[[], None]) -> None:
    """Runs `main` here when this process is a rank or the only one, else starts the ranks and ends as they do."""
    if "RANK" not in os.environ:
        try:
            ranks = load_section(stage, section).ranks
        except InputError as error:
            print(f"{stage}: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        if ranks > 1:
            _launch(stage, ranks)
    main()


def _launch(stage: str, ranks: int) -> None:
    """Runs this stage again as `ranks` processes.

    `K2_LAUNCHER` is the command that starts them where one machine isn't enough, such as `srun torchrun --nnodes=4 …`;
    without it they start here.
    """
    here = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    command = shlex.split(os.environ.get("K2_LAUNCHER", "")) or here
    end_with_dvc()
    child = subprocess.run([*command, "-m", f"stages.{stage}", *sys.argv[1:]], check=False, preexec_fn=end_with_parent)
    raise SystemExit(child.returncode if child.returncode >= 0 else 128 - child.returncode)


def leads() -> bool:
    """Whether this process is the only one, or rank 0 of several."""
    return os.environ.get("RANK", "0") == "0"
