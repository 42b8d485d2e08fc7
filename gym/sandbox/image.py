"""`python -m gym.sandbox.image OUT`: this machine's Python as an image, for `docker import` on other machines."""

import argparse
import sys
import tempfile
from pathlib import Path

from gym.sandbox.job import SandboxError
from gym.sandbox.rootfs import root_folder, write_tar


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Writes this machine's Python and a few programs as an image, without packages."
    )
    parser.add_argument("out", type=Path, help="the tar file")
    out: Path = parser.parse_args().out
    with tempfile.TemporaryDirectory(dir=out.absolute().parent) as work:
        try:
            write_tar(root_folder(Path(work)), out)
        except SandboxError as error:
            print(f"image: {error}", file=sys.stderr)
            raise SystemExit(2) from None
    print(f"{out}: {out.stat().st_size / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
