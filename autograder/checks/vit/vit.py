"""The check of ``ViT(image_size, patch, in_channels, classes, dim, depth, heads)``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from autograder.exercise import Draw, Exercise
from autograder.program import Plan
from autograder.wire import Ref

EXERCISE = Exercise("vit.ViT", objects=("ViT",))


@dataclass(frozen=True)
class Sizes:
    """How many images, how large, and the numbers that a ViT is made of."""

    b: int
    channels: int
    grid: tuple[int, int]
    patch: int
    classes: int
    heads: int
    dim: int
    depth: int

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.grid[0] * self.patch, self.grid[1] * self.patch

    @property
    def n(self) -> int:
        """The number of patches."""
        return self.grid[0] * self.grid[1]


def sizes(draw: Draw, *, shape: str = "square", depth: int = 1, **fixed: int) -> Sizes:
    """Sizes of which no two can be taken for each other; ``shape`` is square, high or wide."""
    while True:
        short, long = sorted(draw.sizes(2, 2, 4))
        heads, width = draw.sizes(2, 2, 5)
        b, channels, classes = draw.sizes(3, 2, 7)
        found = {"b": b, "channels": channels, "classes": classes, "patch": draw.integer(2, 4), **fixed}
        grid = {"square": (long, long), "high": (long, short), "wide": (short, long)}[shape]
        made = Sizes(grid=grid, heads=heads, dim=heads * width, depth=depth, **found)
        pixels = made.channels * made.patch**2 if made.patch > 1 else 1  # of one pixel, they are the channels
        axes = [made.b, made.channels, *set(made.image_size), made.n, 1 + made.n, made.classes, made.dim, pixels]
        axes = [size for size in axes if size > 1]
        if len(set(axes)) == len(axes):
            return made


def draw_weights(draw: Draw, s: Sizes) -> dict[str, Tensor]:
    """All parameters of a ViT by attribute path: biases, norms, cls and table too."""
    dim, linear, norms = s.dim, {"patches.proj": (s.dim, s.channels * s.patch**2)}, ["norm"]
    for i in range(s.depth):
        linear |= {f"blocks.{i}.attn.{part}": (dim, dim) for part in ("query", "key", "value", "out")}
        linear |= {f"blocks.{i}.mlp.0": (4 * dim, dim), f"blocks.{i}.mlp.2": (dim, 4 * dim)}
        norms += [f"blocks.{i}.norm1", f"blocks.{i}.norm2"]
    linear["head"] = (s.classes, dim)
    weights = {"cls": draw.normal(dim), "positions.table": draw.normal(1 + s.n, dim)}
    for name, (rows, columns) in linear.items():
        weights[f"{name}.weight"] = draw.normal(rows, columns) / math.sqrt(columns)
        weights[f"{name}.bias"] = draw.normal(rows)
    for name in norms:
        weights |= {f"{name}.weight": draw.normal(dim), f"{name}.bias": draw.normal(dim)}
    return weights


def without_use(s: Sizes) -> tuple[str, ...]:
    """The keys' biases, which change nothing: a block of the student's own may go without."""
    return tuple(f"blocks.{i}.attn.key.bias" for i in range(s.depth))


def oracle(images: Tensor, w: dict[str, Tensor], s: Sizes) -> Tensor:
    """A strided convolution, then torch's own pre-norm encoder with these weights in it, in float64."""
    w = {name: weight.double() for name, weight in w.items()}
    kernel = w["patches.proj.weight"].unflatten(1, (s.channels, s.patch, s.patch))
    patches = F.conv2d(images.double(), kernel, w["patches.proj.bias"], stride=s.patch).flatten(2).mT
    first = (w["cls"] + w["positions.table"][0]).expand(len(images), 1, -1)
    stream = torch.cat([first, patches + w["positions.table"][1:]], dim=1)
    packed = {f"norm.{part}": w[f"norm.{part}"] for part in ("weight", "bias")}
    for i in range(s.depth):
        block, layer = f"blocks.{i}", f"layers.{i}"
        for part in ("weight", "bias"):
            packed[f"{layer}.self_attn.in_proj_{part}"] = torch.cat(
                [w[f"{block}.attn.{name}.{part}"] for name in ("query", "key", "value")]
            )
            for theirs, ours in (
                ("self_attn.out_proj", "attn.out"), ("linear1", "mlp.0"), ("linear2", "mlp.2"),
                ("norm1", "norm1"), ("norm2", "norm2"),
            ):  # fmt: skip
                packed[f"{layer}.{theirs}.{part}"] = w[f"{block}.{ours}.{part}"]
    encoder = torch.func.functional_call(empty_encoder(s), packed, (stream,))
    return F.linear(encoder[:, 0], w["head.weight"], w["head.bias"])


def empty_encoder(s: Sizes) -> nn.TransformerEncoder:
    """torch's encoder without memory behind its weights, so that nothing is drawn in vain."""
    layer = nn.TransformerEncoderLayer(
        s.dim, s.heads, 4 * s.dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, device="meta"
    )
    norm = nn.LayerNorm(s.dim, device="meta")
    return nn.TransformerEncoder(layer, s.depth, norm, enable_nested_tensor=False)


def make(draw: Draw, plan: Plan, s: Sizes, image_size: int | None = None) -> tuple[Ref, dict[str, Tensor]]:
    """The student's ViT with all weights drawn anew."""
    weights = draw_weights(draw, s)
    model = plan.call(image_size or s.image_size, s.patch, s.channels, s.classes, s.dim, s.depth, s.heads)
    plan.load(model, weights, optional=without_use(s))
    return model, weights


def expect(draw: Draw, plan: Plan, s: Sizes, what: str, image_size: int | None = None) -> None:
    """Compare the logits of random images."""
    model, weights = make(draw, plan, s, image_size)
    images = draw.normal(s.b, s.channels, *s.image_size)
    plan.expect(plan.call(images, on=model), oracle(images, weights, s).float(), what, atol=1e-4)


@EXERCISE.case(points=2, cause="patches, cls in front, positions on all of them, block, norm, cls again, head.")
def one_block(draw: Draw, plan: Plan) -> None:
    """One square image through one block"""
    expect(draw, plan, sizes(draw, b=1), "the logits of one image")


@EXERCISE.case(points=1, cause="cls stands before every image, and the blocks follow one another, each with weights.")
def several_blocks(draw: Draw, plan: Plan) -> None:
    """Several images through two and more blocks"""
    for depth in (2, draw.integer(3, 4)):
        s = sizes(draw, depth=depth)
        expect(draw, plan, s, f"the logits of {s.b} images after {depth} blocks")


@EXERCISE.case(points=1, cause="(h/p)·(w/p) patches, cut row by row, and 1 more row in the table of positions.")
def high_and_wide(draw: Draw, plan: Plan) -> None:
    """Images higher than wide, and wider than high"""
    for shape in ("high", "wide"):
        s = sizes(draw, shape=shape, depth=2)
        expect(draw, plan, s, f"the logits of images of {s.image_size[0]}x{s.image_size[1]} pixels")


@EXERCISE.case(points=0.5, cause="image_size may be one number; logits are always [b classes], so squeeze nothing.")
def sizes_of_one(draw: Draw, plan: Plan) -> None:
    """image_size as one number; a single channel and class; patches of a single pixel"""
    s = sizes(draw, depth=2)
    expect(draw, plan, s, f"the logits with image_size={s.image_size[0]}", s.image_size[0])
    expect(draw, plan, sizes(draw, shape="wide", channels=1, classes=1), "the only logit of grey images")
    expect(draw, plan, sizes(draw, shape="high", patch=1, b=1), "the logits with a token for each pixel")


@EXERCISE.case(
    points=1.5, cause="layers and nn.Parameters are attributes of the module; blocks lie in an nn.ModuleList."
)
def parameters(draw: Draw, plan: Plan) -> None:
    """The model's parameters: everything learned is registered, nothing is shared or superfluous"""
    for depth in (1, 3):
        s = sizes(draw, shape="wide", depth=depth)
        model, weights = make(draw, plan, s)
        plan.expect_parameters(model, list(weights), optional=without_use(s))


@EXERCISE.case(points=1, cause="nothing may be detached on the way: not the images, cls, positions, nor any block.")
def gradients(draw: Draw, plan: Plan) -> None:
    """Gradients reach the images and all parameters"""
    s = sizes(draw, shape="high", depth=2)
    model, weights = make(draw, plan, s)
    values, cotangent = draw.normal(s.b, s.channels, *s.image_size), draw.normal(s.b, s.classes)
    images = plan.put(values, grad=True)
    plan.backward(plan.call(images, on=model), cotangent)
    leaf = values.double().requires_grad_()
    leaves = {name: weight.double().requires_grad_() for name, weight in weights.items()}
    (oracle(leaf, leaves, s) * cotangent).sum().backward()
    plan.expect_grad(images, leaf.grad.float(), "the images", rtol=1e-3, atol=1e-3)
    for name in (
        "cls", "positions.table", "patches.proj.weight", "blocks.0.attn.query.weight", "blocks.0.mlp.0.weight",
        "blocks.1.attn.out.bias", "blocks.1.mlp.2.weight", "norm.weight", "head.weight", "head.bias",
    ):  # fmt: skip
        plan.expect_grad(model[name], leaves[name].grad.float(), f"`{name}`", rtol=1e-3, atol=1e-3)


@EXERCISE.case(points=1, cause="what forward makes follows the images: dtype, device, no randomness, no writing.")
def contract(draw: Draw, plan: Plan) -> None:
    """float64 and another device, the same logits at every call, batches of other sizes, images as they were"""
    s = sizes(draw, shape="wide", depth=2)
    model, weights = make(draw, plan, s)
    plan.call(on=model, method="double")
    values = draw.normal(s.b, s.channels, *s.image_size, dtype=torch.float64)
    want = oracle(values, weights, s)
    images = plan.put(values)
    plan.expect(plan.call(images, on=model), want, "the logits in float64")
    plan.expect(images, values, "the images after the call")
    plan.expect(plan.call(images, on=model), want, "the logits at a second call")
    plan.expect(plan.call(values[:1], on=model), want[:1], "the logits of the first image alone")
    plan.expect_follows_device(model, values)


@EXERCISE.variant
def from_the_course() -> None:
    """The parts of earlier assignments, one after another"""

    from course_lib.attention import TransformerBlock
    from course_lib.positions import LearnedPositions
    from course_lib.tokens import PatchEmbed

    class ViT(nn.Module):
        def __init__(self, image_size, patch, in_channels, classes, dim, depth, heads):
            super().__init__()
            self.patches = PatchEmbed(image_size, patch, in_channels, dim)
            self.cls = nn.Parameter(0.02 * torch.randn(dim))
            self.positions = LearnedPositions(1 + self.patches.n, dim)
            self.blocks = nn.ModuleList([TransformerBlock(dim, heads) for _ in range(depth)])
            self.norm = nn.LayerNorm(dim)
            self.head = nn.Linear(dim, classes)

        def forward(self, images):
            x = self.patches(images)
            first = self.cls.expand(len(x), 1, -1)
            x = torch.cat([first, x], dim=1)
            x = self.positions(x)
            for block in self.blocks:
                x = block(x)
            x = self.norm(x)
            return self.head(x[:, 0])


@EXERCISE.variant
def all_by_itself() -> None:
    """Every part written out: a convolution for the patches, the fused kernel, no bias of the keys"""

    class Patches(nn.Module):
        def __init__(self, patch, in_channels, dim):
            super().__init__()
            self.patch = patch
            self.proj = nn.Linear(in_channels * patch * patch, dim)

        def forward(self, images):
            kernel = self.proj.weight.unflatten(1, (-1, self.patch, self.patch))
            return F.conv2d(images, kernel, self.proj.bias, stride=self.patch).flatten(2).transpose(1, 2)

    class Positions(nn.Module):
        def __init__(self, rows, dim):
            super().__init__()
            self.table = nn.Parameter(torch.zeros(rows, dim))

    class Attention(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.heads = heads
            self.query, self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
            self.key = nn.Linear(dim, dim, bias=False)

        def forward(self, x):
            q, k, v = (f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
            return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    class Block(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
            self.attn = Attention(dim, heads)
            self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

        def forward(self, x):
            x = x + self.attn(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class ViT(nn.Module):
        def __init__(self, image_size, patch, in_channels, classes, dim, depth, heads):
            super().__init__()
            h, w = image_size if isinstance(image_size, tuple) else (image_size, image_size)
            self.patches = Patches(patch, in_channels, dim)
            self.cls = nn.Parameter(torch.zeros(dim))
            self.positions = Positions(1 + (h // patch) * (w // patch), dim)
            self.blocks = nn.Sequential(*(Block(dim, heads) for _ in range(depth)))
            self.norm = nn.LayerNorm(dim)
            self.head = nn.Linear(dim, classes)

        def forward(self, images):
            tokens = F.pad(self.patches(images), (0, 0, 1, 0)) + self.positions.table
            cls = F.pad(self.cls[None], (0, 0, 0, tokens.shape[1] - 1))
            return self.head(self.norm(self.blocks(tokens + cls)[:, 0]))


@EXERCISE.variant
def everything_for_every_token() -> None:
    """Patches by unfold, positions added in two parts before the tokens are joined, logits for all tokens"""

    from course_lib.attention import TransformerBlock

    class ViT(nn.Module):
        def __init__(self, image_size, patch, in_channels, classes, dim, depth, heads):
            super().__init__()
            height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
            self.patch = patch
            self.patches = nn.Module()
            self.patches.proj = nn.Linear(in_channels * patch**2, dim)
            self.positions = nn.Module()
            self.positions.table = nn.Parameter(torch.randn(height // patch * (width // patch) + 1, dim))
            self.cls = nn.Parameter(torch.randn(dim))
            self.blocks = nn.ModuleList()
            for _ in range(depth):
                self.blocks.append(TransformerBlock(dim, heads))
            self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, classes)

        def forward(self, images):
            cut = F.unfold(images, self.patch, stride=self.patch)
            x = torch.einsum("bpn,dp->bnd", cut, self.patches.proj.weight) + self.patches.proj.bias
            x = x + self.positions.table[1:]
            first = (self.cls + self.positions.table[0]).repeat(images.shape[0], 1, 1)
            x = torch.hstack((first, x))
            for i in range(len(self.blocks)):
                x = self.blocks[i](x)
            return self.head(self.norm(x)).select(1, 0)


@EXERCISE.variant
def image_by_image() -> None:
    """A loop over images, einops, and the parts of earlier assignments"""

    from course_lib.attention import LayerNorm, TransformerBlock
    from course_lib.positions import LearnedPositions
    from course_lib.tokens import PatchEmbed

    class ViT(nn.Module):
        def __init__(self, image_size, patch, in_channels, classes, dim, depth, heads):
            super().__init__()
            self.cls = nn.Parameter(torch.empty(dim).normal_(std=0.02))
            self.patches = PatchEmbed(image_size, patch, in_channels, dim)
            self.positions = LearnedPositions(self.patches.n + 1, dim)
            self.blocks = nn.Sequential(*[TransformerBlock(dim, heads, mlp_ratio=4) for _ in range(depth)])
            self.norm = LayerNorm(dim)
            self.head = nn.Linear(dim, classes)

        def states(self, image):
            tokens = rearrange(self.patches(image[None]), "1 n d -> n d")
            return self.blocks(self.positions(torch.vstack([self.cls, tokens])[None]))

        def forward(self, images):
            pooled = torch.cat([self.states(image)[:, 0] for image in images])
            return self.head(self.norm(pooled))


PATCHES, FIRST, JOIN = "x = self.patches(images)", "first = self.cls.expand(len(x), 1, -1)", "[first, x]"
JOINED, POSITIONS = "x = torch.cat([first, x], dim=1)", "x = self.positions(x)"
MADE_CLS, MADE_POSITIONS = "nn.Parameter(0.02 * torch.randn(dim))", "LearnedPositions(1 + self.patches.n, dim)"
MADE_BLOCKS = "nn.ModuleList([TransformerBlock(dim, heads) for _ in range(depth)])"
LOOP = "for block in self.blocks:\n                x = block(x)".replace(" " * 16, " " * 12)
NORM, HEAD = "x = self.norm(x)", "self.head(x[:, 0])"
MADE_HEAD, BLOCK = "nn.Linear(dim, classes)", "x = block(x)"
CUT = 'x = self.patches.proj(rearrange(images, "b c (gh p) (gw q) -> {}", p=self.patches.patch, q=self.patches.patch))'
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "blocks_in_a_list",
        "The blocks lie in a plain list, where torch does not find their parameters: no optimizer would train them. "
        "Use nn.ModuleList.",
        [(MADE_BLOCKS, "[TransformerBlock(dim, heads) for _ in range(depth)]")],
    ),
    (
        "one_block_repeated",
        "[block] * depth holds the same block `depth` times, with one set of weights; make a new block for every "
        "place.",
        [(MADE_BLOCKS, "nn.ModuleList([TransformerBlock(dim, heads)] * depth)")],
    ),
    (
        "one_block_in_a_loop",
        "Only the first block is used, again and again; each block comes once, in order.",
        [(BLOCK, "x = self.blocks[0](x)")],
    ),
    (
        "last_block_only",
        "Every block reads the same input, so only the last one counts: the next must read what the one before made.",
        [("for block in self.blocks:", "stream = x\n        for block in self.blocks:"), (BLOCK, "x = block(stream)")],
    ),
    (
        "returned_inside_the_loop",
        "Only the first block is applied, for instance because `return` is indented into the loop.",
        [(BLOCK, "x = block(x)\n            break")],
    ),
    (
        "blocks_backwards",
        "The blocks are applied from the last to the first.",
        [("in self.blocks:", "in reversed(self.blocks):")],
    ),
    (
        "always_one_head",
        "`heads` is not handed to the blocks, which have another number of heads.",
        [("TransformerBlock(dim, heads)", "TransformerBlock(dim, 1)")],
    ),
    (
        "no_final_norm",
        "`norm` is never applied: pre-norm blocks leave the stream as it grows, so it is normalised before the head.",
        [(NORM, "x = x")],
    ),
    (
        "normed_before_the_blocks",
        "`norm` is applied before the blocks; it comes after the last one.",
        [(POSITIONS, "x = self.norm(self.positions(x))"), (NORM, "x = x")],
    ),
    (
        "normed_after_every_block",
        "`norm` is applied after every block; it comes once, after the last one.",
        [(BLOCK, "x = self.norm(block(x))"), (NORM, "x = x")],
    ),
    (
        "cls_behind_the_patches",
        "cls stands behind the patches, but the head reads the first token, which is a patch then: put cls in front.",
        [(JOIN, "[x, first]")],
    ),
    (
        "cls_and_its_position_last",
        "cls stands behind the patches and is read there, so all tokens get the row of another place: row 0 of the "
        "table is that of cls.",
        [(JOIN, "[x, first]"), (HEAD, "self.head(x[:, -1])")],
    ),
    (
        "last_token_read",
        "The head reads the last token, which is a patch; cls is the first one, x[:, 0].",
        [(HEAD, "self.head(x[:, -1])")],
    ),
    (
        "mean_over_all_tokens",
        "The head reads the mean of all tokens; this model reads its cls token.",
        [(HEAD, "self.head(x.mean(dim=1))")],
    ),
    (
        "mean_over_the_patches",
        "The head reads the mean of the patches; this model reads its cls token.",
        [(HEAD, "self.head(x[:, 1:].mean(dim=1))")],
    ),
    (
        "no_positions",
        "The table of positions is made but never added, so the patches are a bag without order.",
        [(POSITIONS, "x = x")],
    ),
    (
        "cls_without_a_position",
        "Positions are added to the patches only; cls has a row too, the first of the table.",
        [(POSITIONS, "x = torch.cat([x[:, :1], x[:, 1:] + self.positions.table[1:]], dim=1)")],
    ),
    (
        "positions_before_cls",
        "Positions are added before cls is put in front, so patch i gets row i and not row i + 1, and cls gets none.",
        [(FIRST, FIRST + "\n        x = self.positions(x)"), (POSITIONS + "\n        for", "for")],
    ),
    (
        "positions_in_every_block",
        "Positions are added again before every block; here they are added once, before the first.",
        [(POSITIONS, "x = x"), (BLOCK, "x = block(self.positions(x))")],
    ),
    (
        "tokens_scaled_by_the_root_of_dim",
        "The tokens are multiplied by sqrt(dim) before positions are added, as in Vaswani et al. 2017, section 3.4; a "
        "ViT does not do that.",
        [(PATCHES, "x = self.patches(images) * self.cls.numel() ** 0.5")],
    ),
    (
        "column_by_column",
        "The patches are cut column by column; they come row by row, as one reads a page.",
        [(PATCHES, CUT.format("b (gw gh) (c p q)"))],
    ),
    (
        "channels_last_in_a_patch",
        "Inside a patch the channels come last; the order is (c, p1, p2).",
        [(PATCHES, CUT.format("b (gh gw) (p q c)"))],
    ),
    (
        "sized_for_squares",
        "The number of positions is that of a square image, (h/p)²; it is (h/p)·(w/p).",
        [(MADE_POSITIONS, "LearnedPositions(1 + self.patches.grid[0] ** 2, dim)")],
    ),
    (
        "table_one_row_short",
        "The table has a row for each patch but none for cls: it needs 1 + n rows.",
        [(MADE_POSITIONS, "LearnedPositions(self.patches.n, dim)")],
    ),
    (
        "pair_expected",
        "image_size may also be one number, for a square.",
        [("super().__init__()\n", "super().__init__()\n        height, width = image_size\n")],
    ),
    (
        "cls_is_not_a_parameter",
        "cls is a plain tensor or a buffer, which no optimizer would train; wrap it in nn.Parameter.",
        [(MADE_CLS, "0.02 * torch.randn(dim)")],
    ),
    (
        "table_does_not_learn",
        "The table of positions has no gradients; in a ViT it is learned.",
        [(MADE_POSITIONS, "LearnedPositions(1 + self.patches.n, dim).requires_grad_(False)"),
         (POSITIONS, "x = x + self.positions.table.detach()")],
    ),
    (
        "cls_detached",
        "cls is cut off from autograd, by .data, .detach() or torch.tensor(cls), so it never learns.",
        [(FIRST, "first = self.cls.detach().expand(len(x), 1, -1)")],
    ),
    (
        "patches_frozen",
        "The patches are made under no_grad or detached, so their projection never learns.",
        [(PATCHES, "x = self.patches(images).detach()")],
    ),
    (
        "cls_not_expanded",
        "cls is joined as one row [1 1 d], which fits a batch of one image only; expand it to [b 1 d].",
        [(FIRST, "first = self.cls.reshape(1, 1, -1)")],
    ),
    (
        "probabilities",
        "The result went through a softmax; logits are asked for, as cross_entropy takes them.",
        [(HEAD, "self.head(x[:, 0]).softmax(dim=-1)")],
    ),
    (
        "tanh_before_the_head",
        "There is a tanh before the head, as in BERT's pooler; here the head reads the normed cls token itself.",
        [(HEAD, "self.head(torch.tanh(x[:, 0]))")],
    ),
    (
        "head_without_bias",
        "The head has no bias; it is nn.Linear(dim, classes) as it comes.",
        [(MADE_HEAD, "nn.Linear(dim, classes, bias=False)")],
    ),
    (
        "logits_squeezed",
        "squeeze() drops the axis of a single image or a single class; logits are always [b classes].",
        [(HEAD, "self.head(x[:, 0]).squeeze()")],
    ),
    (
        "dropout_left_in",
        "Dropout makes the logits random while training; the statement asks for none.",
        [(POSITIONS, "x = F.dropout(self.positions(x), 0.1, self.training)")],
    ),
    (
        "causal_mask",
        "A causal mask keeps cls, the first token, from seeing any patch: in a ViT all tokens see all.",
        [(BLOCK, "x = block(x, torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril())")],
    ),
    (
        "cls_made_on_the_cpu",
        "cls is added to torch.zeros without a device, which lie on the CPU wherever the model is; expand cls, or "
        "give the device.",
        [(FIRST, "first = torch.zeros(len(x), 1, x.shape[-1], dtype=x.dtype) + self.cls")],
    ),
]  # fmt: skip
for name, says, changes in SLIPS:
    EXERCISE.slip(from_the_course, name, says, *changes)
