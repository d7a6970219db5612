"""What other libraries call the weights of a Vision Transformer, and what this course calls them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

# in front of names when the model was part of another: DistributedDataParallel, DINO's training, transformers
PREFIXES = re.compile(r"^(?:module\.|backbone\.|vit\.)+")


@dataclass(frozen=True)
class Naming:
    """One library's names: outside the blocks (`top`), and inside them (`parts`, after `block`).

    `sign` is a name that only this library has; `eps` what its published models add to variances; `fused`
    the part with query, key and value in one; `dropped` what such files hold besides.
    """

    library: str
    sign: str
    eps: float
    top: dict[str, str]
    block: str
    parts: dict[str, str]
    fused: str | None = None
    dropped: str = r"(?!)"


TIMM = Naming(
    library="timm or DINO",
    sign="patch_embed.proj.weight",
    eps=1e-6,
    top={
        "cls_token": "cls",
        "pos_embed": "positions.table",
        "patch_embed.proj": "patches.proj",
        "norm": "norm",
        "head": "head",
    },
    block=r"blocks\.(\d+)\.",
    parts={
        "norm1": "norm1",
        "attn.proj": "attn.out",
        "norm2": "norm2",
        "mlp.fc1": "mlp.0",
        "mlp.fc2": "mlp.2",
    },
    fused="attn.qkv",
    # the projection that DINO trains with and throws away
    dropped=r"head\.(mlp|last_layer)\..*",
)

TORCHVISION = Naming(
    library="torchvision",
    sign="conv_proj.weight",
    eps=1e-6,
    top={
        "class_token": "cls",
        "encoder.pos_embedding": "positions.table",
        "conv_proj": "patches.proj",
        "encoder.ln": "norm",
        "heads.head": "head",
    },
    block=r"encoder\.layers\.encoder_layer_(\d+)\.",
    parts={
        "ln_1": "norm1",
        "self_attention.out_proj": "attn.out",
        "ln_2": "norm2",
        "mlp.0": "mlp.0",
        "mlp.3": "mlp.2",
        "mlp.linear_1": "mlp.0",  # the files of torchvision 0.12
        "mlp.linear_2": "mlp.2",
    },
    fused="self_attention.in_proj",
)

HUGGING_FACE = Naming(
    library="Hugging Face",
    sign="embeddings.patch_embeddings.projection.weight",
    eps=1e-12,
    top={
        "embeddings.cls_token": "cls",
        "embeddings.position_embeddings": "positions.table",
        "embeddings.patch_embeddings.projection": "patches.proj",
        "layernorm": "norm",
        "classifier": "head",
    },
    # in files, and in models of transformers from version 5 on
    block=r"(?:encoder\.layer|layers)\.(\d+)\.",
    parts={
        "layernorm_before": "norm1",
        "attention.attention.query": "attn.query",
        "attention.attention.key": "attn.key",
        "attention.attention.value": "attn.value",
        "attention.output.dense": "attn.out",
        "attention.q_proj": "attn.query",
        "attention.k_proj": "attn.key",
        "attention.v_proj": "attn.value",
        "attention.o_proj": "attn.out",
        "layernorm_after": "norm2",
        "intermediate.dense": "mlp.0",
        "output.dense": "mlp.2",
        "mlp.fc1": "mlp.0",
        "mlp.fc2": "mlp.2",
    },
    # a layer on the cls token that only some of its models have, and classifiers do not
    dropped=r"pooler\..*",
)


def recognise(state: Mapping[str, Tensor]) -> Naming:
    """Tell by the names in a state dict which library wrote it. Raises ValueError if none of the known did."""
    names = [PREFIXES.sub("", name) for name in state]
    for naming in (TIMM, TORCHVISION, HUGGING_FACE):
        if naming.sign in names:
            return naming
    shown = ", ".join(names[:4]) or "nothing at all"
    raise ValueError(
        "This is not the state dict of a ViT of timm, torchvision, Hugging Face or DINO: "
        f"it has none of their patch projections, but {shown}."
    )


def convert_vit(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename and reshape the state dict of a published Vision Transformer to one of `course_lib.vit.ViT`.

    Recognises timm, torchvision, Hugging Face and DINO (whose names are timm's). The convolution over patches
    [d c p p] becomes a matrix [d c*p*p], query, key and value are cut apart, and biases that they lack are
    zeros. Raises ValueError for a state dict of another kind, and for a weight that ViT has no place for.
    """
    naming = recognise(state)
    ours: dict[str, Tensor] = {}
    for name, tensor in state.items():
        for new_name, part in _convert_one(PREFIXES.sub("", name), tensor, naming):
            ours[new_name] = part.contiguous()
    for name in [name for name in ours if re.fullmatch(r".*\.attn\.(query|key|value)\.weight", name)]:
        bias = name.removesuffix("weight") + "bias"
        ours.setdefault(bias, torch.zeros_like(ours[name][:, 0]))
    return ours


def _convert_one(name: str, tensor: Tensor, naming: Naming) -> Iterator[tuple[str, Tensor]]:
    if re.fullmatch(naming.dropped, name):
        return
    inside = re.match(naming.block, name)
    known, rest = (naming.top, name) if inside is None else (naming.parts, name[inside.end() :])
    # torch's own attention has an underscore where everything else has a dot
    part, _, kind = rest.replace("in_proj_", "in_proj.").rpartition(".")
    if inside is not None and part == naming.fused and kind in ("weight", "bias"):
        for role, third in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
            yield f"blocks.{inside[1]}.attn.{role}.{kind}", third
        return
    new = f"{known[part]}.{kind}" if part in known and kind in ("weight", "bias") else known.get(rest)
    if new is None:
        raise ValueError(
            f"This looks like a ViT of {naming.library}, but its {name!r} has no place in this course's, "
            "which is the plain one of Dosovitskiy et al. 2021."
        )
    if new == "cls":
        tensor = tensor.reshape(-1)
    elif new == "positions.table":
        tensor = tensor.reshape(-1, tensor.shape[-1])  # [1 n d] -> [n d]
    elif new == "patches.proj.weight":
        tensor = tensor.flatten(1)  # [d c p p] -> [d c*p*p]
    yield new if inside is None else f"blocks.{inside[1]}.{new}", tensor
