"""The machine that a table was made on, in words that tell neither its name nor its paths."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

PEERS = ("transformers", "timm", "vit-pytorch", "tokenizers")


def describe(device: torch.device) -> str:
    """Processor, memory, threads, Python, and the versions of torch and the peers."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    parts = [
        f"{os.cpu_count()} {platform.machine()} cores, {memory:.0f} GiB of memory, {platform.system()}",
        f"{torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}",
        f"Python {platform.python_version()}, torch {torch.__version__}",
        *(f"{name} {installed}" for name in PEERS if (installed := _version(name))),
    ]
    if device.type == "cuda":
        parts.insert(0, torch.cuda.get_device_name(device))
    return ", ".join(parts)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
