"""Progress: a bar on a terminal, a line a minute in a log."""

import sys
import time
from types import TracebackType

from tqdm import tqdm


class Progress:
    """Counts `unit`s towards `total`, or what the total was thought to be; `note` is shown beside the count."""

    def __init__(self, name: str, total: int, unit: str = "it", *, every_s: float = 60.0) -> None:
        self.name, self.total, self.unit, self.every_s = name, total, unit, every_s
        self.done = 0
        self.started = self.last = time.monotonic()
        tty = sys.stderr.isatty()
        self.bar = tqdm(total=total, desc=name, unit=unit, unit_scale=True, dynamic_ncols=True) if tty else None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()

    def update(self, n: int = 1, note: str = "") -> None:
        self.done += n
        if self.bar is not None:
            self.bar.update(n)
            if note:
                self.bar.set_postfix_str(note, refresh=False)
            return
        now = time.monotonic()
        if now - self.last >= self.every_s:
            self.last = now
            rate = self.done / (now - self.started)
            left = (self.total - self.done) / rate if rate > 0 else float("inf")
            speed = f"{self.unit}, {rate:,.1f} {self.unit}/s"
            if self.done > self.total:  # such as the answers of an episode, of which nobody knows how many it takes
                line = f"{self.done:,} {speed}"
            else:
                line = f"{self.done:,}/{self.total:,} {speed}, {left:,.0f} s left"
            print(f"{self.name}: {line}  {note}".rstrip(), flush=True)
