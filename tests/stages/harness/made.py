"""What workers of another process import, without what a test imports."""

import os
import time


def slow_process(item: int) -> tuple[int, int]:
    """The item, and which process took its time for it."""
    time.sleep(1)
    return item, os.getpid()
