"""Watches every optimizer of this process from outside: what each step has before it moves."""

import contextlib

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

SETTINGS = ("momentum", "dampening", "nesterov", "betas", "alpha", "eps", "weight_decay")
"""Of a parameter group, besides its learning rate."""
BUFFERS = ("momentum_buffer", "exp_avg", "square_avg")
"""What SGD, Adam and RMSprop carry from step to step."""


class StepSpy:
    """Steps in order, and the optimizers in the order in which they first step.

    Attributes:
        optimizers: kind and settings of each; one whose settings change is listed again.
        steps: of each the optimizer's number, counted from 1, and a value per parameter group:
            learning rate, norms of the weights, of the gradient as it is stepped along (after
            clipping) and of what is carried over from the steps before.
    """

    def __init__(self):
        self.optimizers, self.steps = [], []
        self._seen = []  # holds the optimizers, so that no two have the same id

    @contextlib.contextmanager
    def watching(self):
        handle = register_optimizer_step_pre_hook(self._note)
        try:
            yield
        finally:
            handle.remove()

    def _note(self, optimizer, *_):
        groups = optimizer.param_groups
        settings = [{name: group[name] for name in SETTINGS if name in group} for group in groups]
        entry = {
            "kind": type(optimizer).__name__,
            "parameters": [sum(p.numel() for p in group["params"]) for group in groups],
            "settings": settings,
        }
        known = [
            number
            for number, (seen, other) in enumerate(self._seen)
            if seen is optimizer and other == entry
        ]
        if not known:
            known = [len(self._seen)]
            self._seen.append((optimizer, entry))
            self.optimizers.append(entry)
        self.steps.append(
            {
                "optimizer": known[0] + 1,
                "lr": [float(group["lr"]) for group in groups],
                "weights": [_norm(group["params"]) for group in groups],
                "gradient": [_norm(p.grad for p in group["params"]) for group in groups],
                "carried": [_norm(_carried(optimizer, group)) for group in groups],
            }
        )


def _carried(optimizer, group):
    states = (optimizer.state.get(parameter, {}) for parameter in group["params"])
    return [state[name] for state in states for name in BUFFERS if name in state]


def _norm(tensors):
    """Norm of all together; those that are absent count as 0."""
    squares = [
        torch.linalg.vector_norm(tensor.detach(), dtype=torch.float64).item() ** 2
        for tensor in tensors
        if tensor is not None
    ]
    return sum(squares) ** 0.5
