"""How often a classifier is right."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def evaluate(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Return the share of examples whose largest logit is that of their label, between 0 and 1.

    Shapes: batches of inputs [b ...] and integer labels [b], of any sizes; model(inputs) gives logits [b c].
    Each example counts once, so that a small last batch weighs less. Runs on the device of the model's
    weights, without gradients and in eval mode; each part of the model is then put back in the mode it was in.
    Raises ValueError without a single example, or if logits and labels do not fit.
    """
    weight = next(model.parameters(), None)
    modes = [(module, module.training) for module in model.modules()]
    right, total = [], 0
    model.eval()
    try:
        with torch.no_grad():
            for inputs, labels in batches:
                if weight is not None:
                    inputs, labels = inputs.to(weight.device), labels.to(weight.device)
                logits = model(inputs)
                if logits.ndim != 2 or labels.shape != logits.shape[:1]:
                    shapes = f"{tuple(logits.shape)} and {tuple(labels.shape)}"
                    raise ValueError(f"Need logits [b c] and labels [b], but their shapes are {shapes}.")
                # summed on the device: asking for a number at each batch would mean waiting for it
                right.append((logits.argmax(-1) == labels).sum())
                total += len(labels)
    finally:
        for module, training in modes:
            module.training = training
    if not total:
        raise ValueError("There is no example to evaluate on.")
    return int(torch.stack(right).sum()) / total
