"""The number format that a training step computes in."""

from contextlib import AbstractContextManager, nullcontext

import torch


def has_bf16(device: torch.device) -> bool:
    """Whether matrix products can be computed in bfloat16 on this device."""
    if not torch.amp.is_autocast_available(device.type):
        return False
    return torch.cuda.is_bf16_supported(including_emulation=False) if device.type == "cuda" else True


def precision(name: str, device: torch.device) -> AbstractContextManager:
    """Make the context in which a forward pass runs: "float32" leaves all as it is, "bf16" is mixed precision.

    In "bf16" matrix products are computed in bfloat16 while parameters, gradients and the optimiser's state keep
    their own format; its range is that of float32, so that no loss scaling is needed. "auto" is "bf16" on CUDA
    devices that have it, where it is faster, and "float32" elsewhere. Raises ValueError for another name, or if
    the device has no bfloat16. Source: Micikevicius et al. 2018; Kalamkar et al. 2019.
    """
    if name not in ("auto", "float32", "bf16"):
        raise ValueError(f'The precision is "auto", "float32" or "bf16", not {name!r}.')
    if name == "float32" or (name == "auto" and not (device.type == "cuda" and has_bf16(device))):
        return nullcontext()
    if not has_bf16(device):
        raise ValueError(f'{device} cannot compute in bfloat16: use "float32".')
    return torch.autocast(device.type, dtype=torch.bfloat16)
