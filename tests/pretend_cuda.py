"""A GPU without one: tensors moved to `cuda` are marked, and mixing them with others is the error that it would be.

Numbers are computed on the CPU. Only what runs in Python is seen: forward passes and losses, not what autograd does
with them afterwards.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

CUDA = torch.device("cuda", 0)
MOVES = {"to", "copy_", "cpu", "cuda", "type_as"}
INDEXING = {"__getitem__", "__setitem__"}  # a tensor on a GPU takes indices from the CPU, not the other way round


def marked(tensor: Tensor) -> bool:
    return getattr(tensor, "pretends", False)


def mark(tensor: Tensor) -> Tensor:
    tensor.pretends = True  # type: ignore[attr-defined]
    return tensor


def mark_model(model: nn.Module) -> None:
    """What `model.to("cuda")` would do."""
    for tensor in (*model.parameters(), *model.buffers()):
        mark(tensor)


class PretendCuda(TorchFunctionMode):
    """Within it, a marked tensor says that it is on `cuda:0`."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func == Tensor.device.__get__:
            return CUDA if marked(args[0]) else func(*args)
        if func == Tensor.is_cuda.__get__:
            return marked(args[0])
        name = (resolve_name(func) or "").rpartition(".")[2] or getattr(func, "__name__", "")
        tensors = list(_tensors((args, kwargs)))
        here = any(marked(tensor) for tensor in tensors)
        if name in ("numpy", "__array__") and here:
            raise TypeError("can't convert a cuda tensor to numpy")
        places = [one for one in (*args, *kwargs.values()) if isinstance(one, torch.device | str) and _is_device(one)]
        if places:
            here = torch.device(places[0]).type == "cuda"
            args = tuple(_on_cpu(one) for one in args)
            kwargs = {key: _on_cpu(one) for key, one in kwargs.items()}
        elif name == "cpu":
            here = False
        elif here and name not in MOVES and not (name in INDEXING and marked(args[0])):
            for tensor in tensors:
                if not marked(tensor) and tensor.ndim > 0:
                    raise RuntimeError(f"{name}: expected all tensors on cuda:0, found one of {tuple(tensor.shape)}")
        result = func(*args, **kwargs)
        if name in MOVES and name != "copy_" and isinstance(result, Tensor) and result is args[0]:
            result = result.view_as(result)  # the tensor that was moved stays where it is
        if here:
            for tensor in _tensors(result):
                mark(tensor)
        return result


def _is_device(value: torch.device | str) -> bool:
    return isinstance(value, torch.device) or value.partition(":")[0] in ("cuda", "cpu")


def _on_cpu(value: Any) -> Any:
    return "cpu" if isinstance(value, torch.device | str) and _is_device(value) else value


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
