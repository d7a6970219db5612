"""Models that a check hands to a student, put together where student code runs.

They hold no answer: a check says by data what they compute, and reads back how they were treated.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from autograder.functions import apply

HERE = "on the device of its input"


class Layers(nn.Module):
    """Operations of `autograder.functions` in order, and one more: ``["dropout"]``, alive while training.

    The tensors of the operations are its parameters, except those already tied to a graph or wanted as leaves.
    It remembers of all its calls whether any part was in training mode (``ever_training``), whether gradients were
    recorded (``ever_recording``), how many there were (``calls``) and the largest size of the input's second axis
    (``longest``). ``modes`` are the training flags of all its parts now. Further keywords become attributes.
    """

    def __init__(self, ops: list[list[Any]], **attributes: Any) -> None:
        super().__init__()
        self.drop = nn.Sequential(nn.Dropout(0.5))
        self.weights = nn.ParameterList()
        self.ops = [[name, *map(self._own, arguments)] for name, *arguments in ops]
        self.ever_training = self.ever_recording = False
        self.calls = self.longest = 0
        for name, value in attributes.items():
            setattr(self, name, value)

    def _own(self, argument: Any) -> Any:
        if not isinstance(argument, Tensor) or not argument.is_floating_point() or argument.requires_grad:
            return argument
        self.weights.append(nn.Parameter(argument))
        return self.weights[-1]

    @property
    def modes(self) -> list[bool]:
        """The training flags of all parts."""
        return [part.training for part in self.modules()]

    def forward(self, x: Tensor) -> Tensor:
        """Apply the operations; the shapes are theirs."""
        self.calls += 1
        self.ever_training |= any(self.modes)
        self.ever_recording |= torch.is_grad_enabled()
        self.longest = max(self.longest, x.shape[1] if x.ndim > 1 else 0)
        for name, *arguments in self.ops:
            x = self.drop(x) if name == "dropout" else apply(name, x, *arguments)
        return x


def _gpt(**choices: Any) -> nn.Module:
    # a finished model is not there where students' work is graded until a question needs it
    return importlib.import_module("autograder.given_gpt").GPT(**choices)


MODULES: dict[str, Callable[..., nn.Module]] = {"layers": Layers, "gpt": _gpt}


def build(name: str, **choices: Any) -> nn.Module:
    """The model called ``name``; raises ValueError if there is none."""
    if name not in MODULES:
        raise ValueError(f"no model is called {name!r}; there are {sorted(MODULES)}")
    return MODULES[name](**choices)
