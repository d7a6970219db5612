"""Published models as files: fetched from the Hugging Face hub, read without running anything in them."""

import json
from pathlib import Path

import torch
from torch import Tensor


def download(repo: str, revision: str | None = None) -> Path:
    """Fetch a model's config and weights from the Hugging Face hub, or find them in its cache.

    Raises ImportError without huggingface_hub, ValueError if the hub knows no such model, ConnectionError
    if neither hub nor cache can give it.
    """
    try:
        from huggingface_hub import errors, snapshot_download
    except ImportError as error:
        raise ImportError(f"Downloading {repo!r} needs: pip install huggingface_hub safetensors.") from error
    try:
        for weights in ("model*.safetensors*", "pytorch_model*.bin*"):
            folder = Path(snapshot_download(repo, revision=revision, allow_patterns=["config.json", weights]))
            if any(folder.glob(weights)):
                break
        return folder
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError) as error:
        where = f"{repo!r} is no folder here, and the Hugging Face hub has no such model"
        raise ValueError(f"{where}{f' at revision {revision}' if revision else ''}.") from error
    except OSError as error:
        raise ConnectionError(
            f"Cannot download {repo!r}: the Hugging Face hub cannot be reached and nothing is cached. "
            "Go online once, or give the path of a folder with config.json and model.safetensors."
        ) from error


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a saved model: safetensors before pickle, whole or in shards; FileNotFoundError without."""
    for whole, read in (("model.safetensors", read_safetensors), ("pytorch_model.bin", _read_pickle)):
        index = folder / f"{whole}.index.json"
        if (folder / whole).exists():
            return read(folder / whole)
        if index.exists():
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            return {name: t for shard in sorted(shards) for name, t in read(existing(folder, shard)).items()}
    raise FileNotFoundError(f"{folder} holds neither model.safetensors nor pytorch_model.bin.")


def existing(folder: Path, name: str) -> Path:
    """The path of a file that must be there; raises FileNotFoundError if it is not."""
    if not (folder / name).exists():
        raise FileNotFoundError(f"{folder} holds no {name}.")
    return folder / name


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors in one file."""
    from safetensors.torch import load_file

    return load_file(path)


def _read_pickle(path: Path) -> dict[str, Tensor]:
    return torch.load(path, map_location="cpu", weights_only=True)
