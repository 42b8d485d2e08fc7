"""Where pieces of a stream are worked on: in this process, in others of this machine, or on a Ray cluster (`runner`).

Results come in the order of the pieces, and a few pieces are under way at a time.
"""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, TypeVar

from stages.harness.checkout_lock import end_with_parent
from stages.harness.errors import InputError

NATIVE = "native"
T = TypeVar("T")
R = TypeVar("R")
Submit = Callable[[T], Callable[[], R]]  # starts one; what it gives waits for its result


def in_order(function: Callable[[T], R], items: Iterable[T], runner: str, processes: int) -> Iterator[R]:
    """`function` of each item.

    Args:
        function: a function of a module, or a partial of one; each process gets it once.
        runner: `native`, or the address of a Ray cluster, `ray://HOST:PORT`.
        processes: of this machine, where the runner is `native`.

    Raises:
        InputError: no Ray, a worker that was killed; and what `function` and `items` raise, of several the first.
    """
    stream = iter(items)
    first = list(islice(stream, 2))
    together = chain(first, stream)
    if runner == NATIVE and (processes == 1 or len(first) < 2):
        yield from map(function, together)
        return
    with _ray(function, runner) if runner != NATIVE else _processes(function, processes) as (submit, most):
        waiting: deque[Callable[[], R]] = deque()
        while True:
            try:
                waiting.append(submit(next(together)))
            except StopIteration:
                break
            except InputError:
                for result in waiting:  # a fault of an earlier item comes first
                    yield result()
                raise
            if len(waiting) > most:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()


@contextmanager
def _processes(function: Callable[[T], R], processes: int) -> Iterator[tuple[Submit[T, R], int]]:
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin, (function,))
    try:
        yield lambda item: pool.submit(_own, item).result, processes
    except BrokenProcessPool:
        raise InputError("a worker was killed; is there memory for `threads` of them?") from None
    finally:
        pool.shutdown(cancel_futures=True)


_function: Callable[[Any], Any]  # of a worker


def _begin(function: Callable[[Any], Any]) -> None:
    """A worker ends with the stage, even by SIGKILL, and leaves Ctrl-C to it."""
    global _function
    _function = function
    end_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _own(item: Any) -> Any:
    return _function(item)


@contextmanager
def _ray(function: Callable[[T], R], address: str) -> Iterator[tuple[Submit[T, R], int]]:
    try:
        import ray
    except ImportError:
        raise InputError("runner: Ray isn't installed (pip install 'k2-pipeline[ray]')") from None
    try:
        ray.init(address, log_to_driver=False)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise InputError(f"runner: {address}: {str(error).partition(chr(10))[0]}") from None
    remote: Any = ray.remote(max_retries=3)(_call)
    sent = ray.put(function)

    def submit(item: T) -> Callable[[], R]:
        reference = remote.remote(sent, item)

        def result() -> R:
            found, fault = ray.get(reference)
            if fault is not None:
                raise InputError(fault)
            return found  # type: ignore[no-any-return]

        return result

    try:
        yield submit, max(1, int(ray.cluster_resources().get("CPU", 1)))
    finally:
        ray.shutdown()


def _call(function: Callable[[T], R], item: T) -> tuple[R | None, str | None]:
    """The result, or the line of a fault of the user's, which Ray would wrap in a traceback."""
    try:
        return function(item), None
    except InputError as error:
        return None, str(error)
