"""Runs inside a sandbox: makes this process differ from its parent as another interpreter would.

Forks of one process have equal addresses and one hash seed, so runs in them don't show what depends on either. After
`move` hashes and ids that another interpreter would not give are others, and sets of what has such hashes are iterated
backwards. Equal hashes stay equal. Only what asks C code past all of this is not moved, such as `'text'.__hash__()` and
`set.pop`. Standard library only.
"""

import builtins
import ctypes
import gc
from collections.abc import Iterator
from decimal import Decimal
from types import WrapperDescriptorType
from typing import Any

REAL_HASH, REAL_ID, BY_ADDRESS = hash, id, object.__hash__
MASK = (1 << 47) - 16  # an id stays a multiple of 16
NUMBERS = {kind.__hash__ for kind in (int, float, complex, Decimal, range)}
BEFORE_ITER = 27  # pointers of a PyTypeObject before `tp_iter`
KEPT: list[Any] = []  # what must never be freed


def other(found: int) -> int:
    """Another one in every bit, and never -1, which is no hash."""
    return ~found if found else found


def moved_address(self: object) -> int:
    return other(BY_ADDRESS(self))


def settled(value: Any, *, moved: bool) -> bool:
    """Whether its hash is the same in every interpreter; with `moved` also what is moved already, as by `__hash__`."""
    method: Any = type(value).__hash__
    if method in (tuple.__hash__, frozenset.__hash__):
        return all(settled(part, moved=moved) for part in value)
    if method in NUMBERS or not moved:
        return method in NUMBERS
    if method is moved_address:  # for C code only of classes that are made from now on
        return REAL_HASH(value) == moved_address(value)
    return not isinstance(method, WrapperDescriptorType)


def moved_hash(value: Any, /) -> int:
    found = REAL_HASH(value)
    return found if settled(value, moved=True) else other(found)


def moved_id(value: Any, /) -> int:
    return REAL_ID(value) ^ MASK


def reverse_sets() -> None:
    """Where C code took their elements' real hashes; it too iterates them backwards then."""
    kind_of_slot = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)
    for kind in (set, frozenset):
        slot = ctypes.c_void_p.from_address(REAL_ID(kind) + BEFORE_ITER * ctypes.sizeof(ctypes.c_void_p))
        real: Any = kind_of_slot(slot.value)  # type: ignore[arg-type]

        def backwards(value: Any, real: Any = real) -> Iterator[Any]:
            found = list(real(value))
            return iter(found) if all(settled(part, moved=True) for part in found) else reversed(found)

        moved = kind_of_slot(backwards)
        KEPT.append(moved)
        slot.value = ctypes.cast(moved, ctypes.c_void_p).value


def move() -> None:
    """Before anything of the repository is imported: what it keeps by hash or id is found again then."""
    builtins.hash, builtins.id = moved_hash, moved_id
    gc.get_referents(object.__dict__)[0]["__hash__"] = moved_address
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(object))
    reverse_sets()
