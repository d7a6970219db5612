"""Published Vision Transformers of timm, torchvision, Hugging Face and DINO, as a `ViT` of this course."""

import argparse
import json
import math
import pickle
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from course_lib.positions import resize_positions
from course_lib.pretrained.files import download, existing, read_safetensors, read_weights
from course_lib.pretrained.vit_names import PREFIXES, convert_vit, recognise

if TYPE_CHECKING:
    from course_lib.vit import ViT

Model = TypeVar("Model", bound="ViT")

# what a config must say, where it says anything, for the model to be the one that ViT computes
REQUIRED: dict[str, tuple[Any, ...]] = {"model_type": ("vit",), "hidden_act": ("gelu",)}
# what training scripts wrap a state dict in; DINO's downstream numbers are its teacher's
WRAPPINGS = ("teacher", "model", "state_dict")
POOLS = {"token": "cls", "avg": "mean"}


def load_vit(
    model_class: type[Model],
    source: str | PathLike[str] | Mapping[str, Any],
    *,
    heads: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    trained_size: int | tuple[int, int] | None = None,
    antialias: bool = False,
    classes: int | None = None,
    pool: str | None = None,
    eps: float | None = None,
    revision: str | None = None,
) -> Model:
    """Build a `model_class` with the sizes and weights of a published Vision Transformer.

    `source` is a state dict, a file of one (.safetensors, or pickled), a folder with config.json and weights, or
    a name on the Hugging Face hub (at `revision`). What weights cannot say is taken from config.json or must be
    given: `heads`, and `trained_size` if that was no square. For another `image_size` the position table is
    stretched, with `antialias` as timm does, without as Hugging Face does (torchvision's own helper differs: it
    aligns the corners). `classes` draws a fresh head for that many (0: none). `pool` and `eps` are as published
    unless given; weights are float32, dropout 0. Images must be scaled as the publisher did. Raises
    FileNotFoundError, ConnectionError, and ValueError if what is found is no such model or does not fit.
    """
    state, config = _read(source, revision)
    naming, weights = recognise(state), convert_vit(state)
    stripped = {PREFIXES.sub("", name): tensor for name, tensor in state.items()}
    for name in ("positions.table", "blocks.0.mlp.0.weight", "norm.weight"):
        if name not in weights:
            raise ValueError(f"This state dict of {naming.library} is not whole: nothing gives {name!r}.")
    dim, channels, patch, across = stripped[naming.sign].shape
    if patch != across:
        raise ValueError(f"ViT's patches are squares, but these have {patch}×{across} pixels.")
    old_size = _trained_size(weights, patch, trained_size or config.get("image_size"))
    published = len(weights["head.weight"]) if "head.weight" in weights else 0
    model = model_class(
        image_size=old_size if image_size is None else image_size,
        patch=patch,
        in_channels=channels,
        classes=published if classes is None else classes,
        dim=dim,
        depth=1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks.")),
        heads=_heads(heads, config),
        pool=pool or POOLS[config.get("global_pool", "token")],
        cls_token="cls" in weights,
        # half a channel more, for the product with dim is cut down to a whole number
        mlp_ratio=(len(weights["blocks.0.mlp.0.weight"]) + 0.5) / dim,
        eps=eps or config.get("layer_norm_eps", naming.eps),
    )
    weights["positions.table"] = resize_positions(
        _with_prefix(weights["positions.table"], old_size, patch, model.n_prefix),
        (old_size[0] // patch, old_size[1] // patch),
        model.patches.grid,
        model.n_prefix,
        antialias=antialias,
    )
    if classes is not None:
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith("head.")}
        weights |= {f"head.{name}": tensor for name, tensor in model.head.state_dict().items()}
    _check_fit(weights, model.state_dict())
    model.load_state_dict(weights)
    return model


def _read(
    source: str | PathLike[str] | Mapping[str, Any], revision: str | None
) -> tuple[Mapping[str, Tensor], dict[str, Any]]:
    if isinstance(source, Mapping):
        return _unwrap(source), {}
    path = Path(source)
    if path.is_file():
        return _unwrap(_read_file(path)), {}
    folder = path if path.is_dir() else download(str(source), revision)
    config = json.loads(existing(folder, "config.json").read_text(encoding="utf-8"))
    for name, allowed in REQUIRED.items():
        if name in config and config[name] not in allowed:
            raise ValueError(f"{folder} holds no ViT as published: its {name} is {config[name]!r}.")
    changed = {"act_layer", "norm_layer"} & config.get("model_args", {}).keys()
    if changed or config.get("global_pool", "token") not in POOLS:
        what = ", ".join(sorted(changed)) or "global_pool"
        raise ValueError(f"{folder} holds no plain ViT: its config.json sets {what}.")
    return _unwrap(read_weights(folder)), config


def _read_file(path: Path) -> Mapping[str, Any]:
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    try:
        # training scripts keep their command line beside the weights
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(f"{path} is no file of weights that torch can read without running code.") from error


def _unwrap(found: Mapping[str, Any]) -> Mapping[str, Tensor]:
    for name in WRAPPINGS:
        if isinstance(found.get(name), Mapping):
            found = found[name]
            break
    odd = [name for name, value in found.items() if not isinstance(value, Tensor)]
    if odd:
        raise ValueError(f"A state dict holds tensors only, but here {odd[0]!r} is a {type(found[odd[0]]).__name__}.")
    return {name: tensor.float() for name, tensor in found.items()}


def _heads(heads: int | None, config: dict[str, Any]) -> int:
    found = heads or config.get("num_attention_heads") or config.get("model_args", {}).get("num_heads")
    if not found:
        raise ValueError(
            "Weights do not say how many heads share their channels: give `heads`. "
            "Published models have 64 channels a head, but for ViT-H, whose 16 heads have 80."
        )
    return found


def _trained_size(
    weights: dict[str, Tensor], patch: int, given: int | tuple[int, int] | list[int] | None
) -> tuple[int, int]:
    if given is not None:
        return (given, given) if isinstance(given, int) else (given[0], given[1])
    rows = len(weights["positions.table"])
    # with a cls token its row is usually there, yet not always; both can only be squares for an empty grid
    for n in (rows - 1, rows) if "cls" in weights else (rows,):
        if n and math.isqrt(n) ** 2 == n:
            return math.isqrt(n) * patch, math.isqrt(n) * patch
    raise ValueError(f"A table of {rows} positions is for no square image: give `trained_size`.")


def _with_prefix(table: Tensor, size: tuple[int, int], patch: int, n_prefix: int) -> Tensor:
    """Give a cls token that has no row in the table one of zeros. Shape: [n d] -> [n_prefix+n d]."""
    if n_prefix and len(table) == (size[0] // patch) * (size[1] // patch):
        return torch.cat([torch.zeros_like(table[:n_prefix]), table])
    return table


def _check_fit(weights: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    wrong = [f"{name} is missing" for name in sorted(wanted.keys() - weights.keys())]
    wrong += [f"{name} has no place" for name in sorted(weights.keys() - wanted.keys())]
    wrong += [
        f"{name} is {tuple(weights[name].shape)} where {tuple(wanted[name].shape)} is needed"
        for name in sorted(weights.keys() & wanted.keys())
        if weights[name].shape != wanted[name].shape
    ]
    if wrong:
        raise ValueError(f"The weights do not make a ViT: {'; '.join(wrong[:4])}.")
