"""Files that hold a training run, written so that there is always a whole one."""

import os
import pickle
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or is not one of this run."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` so that `path` holds either what it held before or all of the new, whatever interrupts.

    It is written beside `path`, flushed to the disk and then given the name in one step. Missing folders are
    made. Raises OSError if there is no room or no permission; nothing half-written is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
    if os.name == "posix":
        # the new name itself is only safe from a power cut once the folder is on the disk, too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what `save_checkpoint` wrote, with tensors on `device`.

    Nothing in the file is executed: it may only hold tensors and plain values. Raises FileNotFoundError, and
    CheckpointError for a file that is damaged or no checkpoint.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise
    except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError) as problem:
        raise CheckpointError(
            f"{path} is damaged or no checkpoint of this course: delete it to start afresh. ({problem})"
        ) from problem
