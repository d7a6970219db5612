"""Published GPT-2 weights, from the hub or a folder, under this course's names."""

import json
import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor

from course_lib.pretrained.files import download, existing, read_weights

if TYPE_CHECKING:
    from course_lib.gpt import GPT

Model = TypeVar("Model", bound="GPT")

HUB_NAMES = {name: f"openai-community/{name}" for name in ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")}
HUB_NAMES["distilgpt2"] = "distilbert/distilgpt2"

# what a config must say, where it says anything, for the model to be the one that GPT computes
REQUIRED: dict[str, tuple[Any, ...]] = {
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
}

TOP_NAMES = {
    "wte.weight": "tokens.weight",
    "wpe.weight": "positions.weight",
    "ln_f.weight": "norm.weight",
    "ln_f.bias": "norm.bias",
}
BLOCK_NAMES = {
    "ln_1": "norm1",
    "attn.c_proj": "attn.out",
    "ln_2": "norm2",
    "mlp.c_fc": "mlp.0",
    "mlp.c_proj": "mlp.2",
}
# causal masks that old files carry among the weights
BUFFERS = ("attn.bias", "attn.masked_bias")


def load_gpt2(model_class: type[Model], name_or_folder: str | PathLike[str], revision: str | None = None) -> Model:
    """Build a `model_class` with the sizes and weights of a published GPT-2.

    A folder must hold config.json and model.safetensors or pytorch_model.bin (whole or in shards); any
    other name is looked up on the Hugging Face hub, at `revision` if given. Weights are float32, dropout 0.
    Raises ConnectionError if it cannot be downloaded, FileNotFoundError if the folder lacks a file,
    ValueError if what is found is no GPT-2.
    """
    folder = Path(name_or_folder)
    if not folder.is_dir():
        folder = download(HUB_NAMES.get(str(name_or_folder), str(name_or_folder)), revision)
    config = _read_config(folder)
    state = convert_gpt2(read_weights(folder))
    model = model_class(
        vocab=config["vocab_size"],
        block=config.get("n_positions", config.get("n_ctx")),
        dim=config["n_embd"],
        depth=config["n_layer"],
        heads=config["n_head"],
        gelu="tanh",
    )
    wanted = model.state_dict()
    wrong = sorted(state.keys() ^ wanted.keys())
    wrong += [name for name in state.keys() & wanted.keys() if state[name].shape != wanted[name].shape]
    if wrong:
        raise ValueError(f"The weights in {folder} do not fit its config.json, at: {', '.join(wrong[:5])}.")
    model.load_state_dict(state)
    return model


def convert_gpt2(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename and reshape a GPT-2 state dict of `transformers` to one of `course_lib.gpt.GPT`.

    Its Conv1D keeps weights as [in out] and query, key and value side by side: they are transposed and cut
    into three. Raises ValueError for a name that GPT-2 does not have.
    """
    ours: dict[str, Tensor] = {}
    for name, tensor in state.items():
        for new_name, part in _convert_one(name.removeprefix("transformer."), tensor.float()):
            ours[new_name] = part.contiguous()
    if "tokens.weight" in ours:
        ours["head.weight"] = ours["tokens.weight"]
    return ours


def _convert_one(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    if name in TOP_NAMES:
        yield TOP_NAMES[name], tensor
        return
    inside = re.fullmatch(r"h\.(\d+)\.(.+)", name)
    if inside is None:
        # the head is the token table once more
        if name != "lm_head.weight":
            raise ValueError(f"GPT-2 has no weight called {name!r}.")
        return
    block, rest = f"blocks.{inside[1]}", inside[2]
    part, kind = rest.rsplit(".", 1)
    if rest in BUFFERS:
        return
    if part.endswith(("c_attn", "c_proj", "c_fc")) and kind == "weight":
        tensor = tensor.T
    if part == "attn.c_attn":
        for role, third in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
            yield f"{block}.attn.{role}.{kind}", third
    elif part in BLOCK_NAMES:
        yield f"{block}.{BLOCK_NAMES[part]}.{kind}", tensor
    else:
        raise ValueError(f"GPT-2 has no weight called {name!r}.")


def _read_config(folder: Path) -> dict[str, Any]:
    config = json.loads(existing(folder, "config.json").read_text(encoding="utf-8"))
    for name, allowed in REQUIRED.items():
        if name in config and config[name] not in allowed:
            raise ValueError(f"{folder} holds no GPT-2 as published: its {name} is {config[name]!r}.")
    if config.get("n_inner") not in (None, 4 * config["n_embd"]):
        raise ValueError(f"{folder} has MLPs of width {config['n_inner']}, but GPT's have 4 times dim.")
    return config
