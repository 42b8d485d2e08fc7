"""Mathematical answers by `math-verify`, in worker processes that are killed when they hang.

math-verify's own time limit is a signal, which fails in threads and then scores 0 silently; here the limit is the
death of the worker, and a time-out is its own status.
"""

import contextlib
import multiprocessing
from multiprocessing.connection import Connection
from types import TracebackType

from gym.verifiers.number import boxed
from gym.verifiers.result import Result, Status

TIMEOUT_S = 5.0


def _serve(link: Connection) -> None:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    latex, expr = LatexExtractionConfig(), ExprExtractionConfig()
    while True:
        try:
            gold_text, answer_text = link.recv()
        except EOFError:
            return
        try:
            gold = parse(gold_text, extraction_config=[latex, expr], parsing_timeout=None, raise_on_error=True)
            answer = parse(answer_text, extraction_config=[latex, expr], parsing_timeout=None, raise_on_error=True)
            if not gold:
                link.send(("error", f"the gold answer can't be read: {gold_text[:80]}"))
            elif not answer:
                link.send(("none", "no mathematical answer found"))
            else:
                right = verify(gold, answer, timeout_seconds=None, raise_on_error=True)
                link.send(("right" if right else "wrong", f"read as {answer[-1]!s}"[:120]))
        except Exception as error:  # noqa: BLE001  sympy raises anything; the caller sees a verifier's error
            link.send(("error", f"{type(error).__name__}: {error}"[:120]))


class MathVerifier:
    """One worker; use it from one thread, as a context manager."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self.timeout_s = timeout_s
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._link, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._warm = False

    def __call__(self, gold: str, answer: str) -> Result:
        """Compares an answer text with the gold expression; `\\boxed` wins when the text has one."""
        if not answer.strip():
            return Result(0.0, Status.NO_ANSWER, "empty answer")
        content = boxed(answer)
        gold = gold if "$" in gold or "\\boxed" in gold else f"${gold}$"
        answer_text = f"$\\boxed{{{content}}}$" if content is not None else answer
        limit = self.timeout_s if self._warm else self.timeout_s + 60.0  # the first call imports sympy
        try:
            self._link.send((gold, answer_text))
            if not self._link.poll(limit):
                self._restart()
                return Result(None, Status.TIMEOUT, f"no verdict after {self.timeout_s:.0f} s")
            kind, reason = self._link.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._restart()
            return Result(None, Status.VERIFIER_ERROR, "the worker died")
        self._warm = True
        if kind == "error":
            return Result(None, Status.VERIFIER_ERROR, reason)
        if kind == "none":
            return Result(0.0, Status.NO_ANSWER, reason)
        return Result(float(kind == "right"), Status.SCORED, reason)

    def _restart(self) -> None:
        self._process.kill()
        self._process.join()
        self._link.close()
        self._start()

    def __enter__(self) -> "MathVerifier":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._link.close()
        self._process.kill()
        self._process.join()
