"""`python -m stages.promote [--version N]`: the gate's judgement of the candidate, or of version N."""

import sys

from stages import models


def main() -> None:
    models.main(["--promote", *sys.argv[1:]])


if __name__ == "__main__":
    main()
