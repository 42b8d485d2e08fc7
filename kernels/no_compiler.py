"""Keeps torch's compiler out of processes that compile nothing.

torch fences the methods of its optimizers off from `torch.compile`, and the fence imports the compiler at the first
call: two seconds of processor time in every training process, on every rank. Here the fence is told its answer before.
"""

import inspect

import torch


def keep_out() -> None:
    """Lets optimizers run as they are written, which is what they do behind the fence.

    No function that is compiled may call them. Calling this again changes nothing.
    """
    for _, method in inspect.getmembers(torch.optim.Optimizer, inspect.isfunction):
        if method.__code__.co_filename == torch._compile.__file__:
            fenced = inspect.unwrap(method)
            fenced.__dynamo_disable = fenced  # where the fence looks before it imports the compiler
