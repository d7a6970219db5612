"""Which parameters weight decay acts on."""

from typing import Any

from torch import nn

_TABLES = (nn.Embedding, nn.EmbeddingBag)


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split a model's trained parameters into those that decay and those that do not, for an optimiser.

    What decays are the weights that multiply activations: parameters of two or more axes that are called
    "weight" in their module. Biases, scales of norms, embeddings and other tables (positions, cls tokens) do
    not, for pulling them to zero does not make a function simpler; nor does a weight that a Linear layer shares
    with an embedding. Each parameter is in one group, also if several modules share it; frozen ones are in none.
    Returns [{"params", "weight_decay"}, {"params", "weight_decay": 0}]. Raises ValueError if nothing is trained
    or `weight_decay` is negative. Source: Loshchilov and Hutter 2019; the groups are those of Radford et al. 2018.
    """
    if weight_decay < 0:
        raise ValueError(f"The weight decay cannot be negative, but is {weight_decay}.")
    owners = [module for module in model.modules() if isinstance(module, _TABLES)]
    tables = {id(parameter) for module in owners for parameter in module.parameters(recurse=False)}
    decaying, others = [], []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_weight = "weight" in name.rpartition(".")[2] and parameter.ndim >= 2
            (decaying if is_weight and id(parameter) not in tables else others).append(parameter)
    if not decaying and not others:
        raise ValueError("The model has no parameter that is trained.")
    return [{"params": decaying, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
