"""ViT against timm, torchvision, transformers, DINO's names and vit-pytorch: logits, gradients, maps, loading."""

import argparse
import json

import pytest
import torch
import transformers
from torch import Tensor, nn

from course_lib.pretrained.vit import load_vit
from course_lib.pretrained.vit_names import convert_vit
from course_lib.vit import ViT

B, C, PATCH, CLASSES, DIM, DEPTH, HEADS, HIDDEN = 6, 3, 2, 9, 20, 2, 5, 70


def draw(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def timm_vit(redraw, size=(6, 8), **changes) -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    sizes = dict(
        img_size=size, patch_size=PATCH, in_chans=C, num_classes=CLASSES, embed_dim=DIM, depth=DEPTH,
        num_heads=HEADS, mlp_ratio=HIDDEN / DIM,
    )  # fmt: skip
    return redraw(VisionTransformer(**sizes | changes)).eval()


def torchvision_vit(redraw) -> nn.Module:
    from torchvision.models import VisionTransformer

    return redraw(VisionTransformer(8, PATCH, DEPTH, HEADS, DIM, HIDDEN, num_classes=CLASSES)).eval()


def hugging_face_vit(redraw, cls="ViTForImageClassification", **changes) -> nn.Module:
    config = transformers.ViTConfig(
        image_size=8, patch_size=PATCH, num_channels=C, num_labels=CLASSES, hidden_size=DIM,
        num_hidden_layers=DEPTH, num_attention_heads=HEADS, intermediate_size=HIDDEN,
        **changes,
    )  # fmt: skip
    return redraw(getattr(transformers, cls)(config)).eval()


# Where each weight's gradient is found in the other model: written out by hand, not by the conversion under test.


def timm_names(model: nn.Module) -> dict[str, Tensor]:
    names = {
        "positions.table": model.pos_embed.grad[0],
        "patches.proj.weight": model.patch_embed.proj.weight.grad.reshape(DIM, -1),
        "patches.proj.bias": model.patch_embed.proj.bias.grad,
        **both("norm", model.norm),
    }
    if model.cls_token is not None:
        names["cls"] = model.cls_token.grad[0, 0]
    if isinstance(model.head, nn.Linear):
        names |= both("head", model.head)
    for i, block in enumerate(model.blocks):
        q, k, v = range(0, DIM), range(DIM, 2 * DIM), range(2 * DIM, 3 * DIM)
        for role, rows in (("query", q), ("key", k), ("value", v)):
            names[f"blocks.{i}.attn.{role}.weight"] = block.attn.qkv.weight.grad[list(rows)]
            if block.attn.qkv.bias is not None:
                names[f"blocks.{i}.attn.{role}.bias"] = block.attn.qkv.bias.grad[list(rows)]
        for part, layer in (
            ("norm1", block.norm1),
            ("attn.out", block.attn.proj),
            ("norm2", block.norm2),
            ("mlp.0", block.mlp.fc1),
            ("mlp.2", block.mlp.fc2),
        ):
            names |= both(f"blocks.{i}.{part}", layer)
    return names


def torchvision_names(model: nn.Module) -> dict[str, Tensor]:
    names = {
        "cls": model.class_token.grad[0, 0],
        "positions.table": model.encoder.pos_embedding.grad[0],
        "patches.proj.weight": model.conv_proj.weight.grad.reshape(DIM, -1),
        "patches.proj.bias": model.conv_proj.bias.grad,
        **both("norm", model.encoder.ln),
        **both("head", model.heads.head),
    }
    for i, block in enumerate(model.encoder.layers):
        for kind in ("weight", "bias"):
            fused = getattr(block.self_attention, f"in_proj_{kind}").grad
            for start, role in enumerate(("query", "key", "value")):
                names[f"blocks.{i}.attn.{role}.{kind}"] = fused[start * DIM : (start + 1) * DIM]
        for part, layer in (
            ("norm1", block.ln_1),
            ("attn.out", block.self_attention.out_proj),
            ("norm2", block.ln_2),
            ("mlp.0", block.mlp[0]),
            ("mlp.2", block.mlp[3]),
        ):
            names |= both(f"blocks.{i}.{part}", layer)
    return names


def hugging_face_names(model: nn.Module) -> dict[str, Tensor]:
    embeddings = model.vit.embeddings
    names = {
        "cls": embeddings.cls_token.grad[0, 0],
        "positions.table": embeddings.position_embeddings.grad[0],
        "patches.proj.weight": embeddings.patch_embeddings.projection.weight.grad.reshape(DIM, -1),
        "patches.proj.bias": embeddings.patch_embeddings.projection.bias.grad,
        **both("norm", model.vit.layernorm),
        **both("head", model.classifier),
    }
    for i, block in enumerate(model.vit.layers):
        for part, layer in (
            ("norm1", block.layernorm_before),
            ("attn.query", block.attention.q_proj),
            ("attn.key", block.attention.k_proj),
            ("attn.value", block.attention.v_proj),
            ("attn.out", block.attention.o_proj),
            ("norm2", block.layernorm_after),
            ("mlp.0", block.mlp.fc1),
            ("mlp.2", block.mlp.fc2),
        ):
            names |= both(f"blocks.{i}.{part}", layer)
    return names


def both(name: str, layer: nn.Module) -> dict[str, Tensor]:
    return {f"{name}.weight": layer.weight.grad, f"{name}.bias": layer.bias.grad}


def assert_agree(ours: ViT, theirs: nn.Module, size, names=None, run=None, ours_run=None, **tolerance) -> None:
    """In float64: logits, the gradient to the images, and those to every parameter that `names` finds."""
    ours, theirs = ours.double().eval(), theirs.double().eval()
    images = [draw(B, C, *size).requires_grad_() for _ in range(2)]
    a, b = (ours_run or ours)(images[0]), (run or theirs)(images[1])
    torch.testing.assert_close(a, b, **tolerance)
    probe = draw(*a.shape, seed=4)
    (a * probe).sum().backward()
    (b * probe).sum().backward()
    torch.testing.assert_close(images[0].grad, images[1].grad, **tolerance)
    if names is not None:
        found = {name: p.grad for name, p in ours.named_parameters()}
        expected = names(theirs)
        assert found.keys() == expected.keys()
        for name, gradient in found.items():
            assert gradient.abs().max() > 0 or name.endswith("key.bias"), name
            torch.testing.assert_close(gradient, expected[name], msg=lambda m, n=name: f"{n}: {m}", **tolerance)


@pytest.mark.parametrize("size", [(6, 8), (8, 6)])
def test_timm(redraw, size):
    theirs = timm_vit(redraw, size)
    ours = ViT.from_pretrained(theirs.state_dict(), heads=HEADS, trained_size=size)
    assert_agree(ours, theirs, size, timm_names)


def test_timm_without_a_cls_token_or_with_one_that_is_not_pooled(redraw):
    for cls_token in (False, True):
        theirs = timm_vit(redraw, (8, 8), class_token=cls_token, global_pool="avg", fc_norm=False)
        ours = ViT.from_pretrained(theirs.state_dict(), heads=HEADS, pool="mean")
        assert ours.n_prefix == cls_token
        assert_agree(ours, theirs, (8, 8), timm_names)


def test_timm_whose_cls_token_has_no_position(redraw):
    theirs = timm_vit(redraw, (8, 8), no_embed_class=True)
    ours = ViT.from_pretrained(theirs.state_dict(), heads=HEADS)
    assert not ours.positions.table[0].any()
    assert_agree(ours, theirs, (8, 8))


def test_timm_without_biases_of_query_key_and_value(redraw):
    theirs = timm_vit(redraw, (8, 8), qkv_bias=False)
    assert_agree(ViT.from_pretrained(theirs.state_dict(), heads=HEADS), theirs, (8, 8))


def test_a_hidden_width_that_is_no_multiple(redraw):
    # 51 / 21 * 21 is less than 51 in floating point
    theirs = timm_vit(redraw, (8, 8), embed_dim=21, num_heads=3, mlp_ratio=51.5 / 21)
    assert theirs.blocks[0].mlp.fc1.weight.shape == (51, 21)
    assert_agree(ViT.from_pretrained(theirs.state_dict(), heads=3), theirs, (8, 8))


def test_torchvision(redraw):
    theirs = torchvision_vit(redraw)
    ours = ViT.from_pretrained(theirs.state_dict(), heads=HEADS)
    assert_agree(ours, theirs, (8, 8), torchvision_names)


def test_the_names_in_torchvisions_published_files(redraw):
    state = torchvision_vit(redraw).state_dict()
    old = {n.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): t for n, t in state.items()}
    assert old.keys() != state.keys()
    a, b = convert_vit(old), convert_vit(state)
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# so far apart that one cannot stand for the other
@pytest.mark.parametrize("eps", [1e-12, 1e-2])
def test_hugging_face_from_its_state_and_from_a_folder(redraw, tmp_path, eps):
    theirs = hugging_face_vit(redraw, layer_norm_eps=eps)
    theirs.save_pretrained(tmp_path)
    from_folder = ViT.from_pretrained(tmp_path)
    from_state = ViT.from_pretrained(theirs.state_dict(), heads=HEADS, eps=eps)
    for ours in (from_state, from_folder):
        theirs.zero_grad()
        assert_agree(ours, theirs, (8, 8), hugging_face_names, lambda x: theirs(x).logits)
    images = draw(B, C, 8, 8)
    theirs.set_attn_implementation("eager")
    maps = torch.stack(theirs(images, output_attentions=True).attentions)
    # their softmax is in float32 where weights are to be seen
    torch.testing.assert_close(from_folder.attention_maps(images), maps.double(), rtol=1e-5, atol=1e-6)


def test_each_librarys_eps_is_the_default(redraw):
    for theirs, eps in (
        (timm_vit(redraw, (8, 8)), 1e-6),
        (torchvision_vit(redraw), 1e-6),
        (hugging_face_vit(redraw), 1e-12),
    ):
        assert {m.eps for m in theirs.modules() if isinstance(m, nn.LayerNorm)} == {eps}
        ours = ViT.from_pretrained(theirs.state_dict(), heads=HEADS)
        assert [m.eps for m in ours.modules() if isinstance(m, nn.LayerNorm)] == [eps] * (2 * DEPTH + 1)


def test_a_hugging_face_model_without_a_head_gives_its_normed_cls_token(redraw):
    theirs = hugging_face_vit(redraw, "ViTModel")
    ours = ViT.from_pretrained(theirs.state_dict(), heads=HEADS)
    assert_agree(ours, theirs, (8, 8), run=lambda x: theirs(x).last_hidden_state[:, 0])
    assert_agree(ours, theirs, (8, 8), run=lambda x: theirs(x).last_hidden_state, ours_run=lambda x: ours.states(x))


# DINO's vision_transformer.py has timm's names, so its backbone is timm's without a head


def test_a_dino_backbone(redraw, tmp_path):
    theirs = timm_vit(redraw, (8, 8), num_classes=0)
    torch.save(theirs.state_dict(), tmp_path / "backbone.pth")
    ours = ViT.from_pretrained(tmp_path / "backbone.pth", heads=HEADS)
    assert isinstance(ours.head, nn.Identity)
    assert_agree(ours, theirs, (8, 8), timm_names)


def test_a_checkpoint_of_dinos_training_gives_the_teacher(redraw, tmp_path):
    teacher, student = (timm_vit(redraw, (8, 8), num_classes=0) for _ in range(2))
    redraw(student, seed=1)
    projection = {"head.mlp.0.weight": torch.ones(4, DIM), "head.last_layer.weight_g": torch.ones(7, 1)}
    checkpoint = {
        "student": {f"module.backbone.{name}": t for name, t in student.state_dict().items()},
        "teacher": {f"backbone.{name}": t for name, t in teacher.state_dict().items()} | projection,
        "epoch": 3,
        "args": argparse.Namespace(arch="vit_small"),
    }
    torch.save(checkpoint, tmp_path / "checkpoint.pth")
    assert_agree(ViT.from_pretrained(tmp_path / "checkpoint.pth", heads=HEADS), teacher, (8, 8), timm_names)
    assert_agree(ViT.from_pretrained(checkpoint["student"], heads=HEADS), student, (8, 8), timm_names)


def test_a_safetensors_file_and_a_folder_of_timms(redraw, tmp_path):
    from safetensors.torch import save_file

    theirs = timm_vit(redraw, (8, 8), class_token=False, global_pool="avg", fc_norm=False)
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    config = {"architecture": "vit", "global_pool": "avg", "model_args": {"num_heads": HEADS}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert_agree(ViT.from_pretrained(tmp_path), theirs, (8, 8), timm_names)
    file = tmp_path / "model.safetensors"
    assert_agree(ViT.from_pretrained(file, heads=HEADS, pool="mean"), theirs, (8, 8))


def test_any_other_name_is_looked_up_on_the_hub(redraw, tmp_path, monkeypatch):
    theirs = hugging_face_vit(redraw)
    theirs.save_pretrained(tmp_path)
    asked = []

    def download(*request):
        asked.append(request)
        return tmp_path

    monkeypatch.setattr("course_lib.pretrained.vit.download", download)
    ours = ViT.from_pretrained("someone/some-vit", revision="abc")
    assert asked == [("someone/some-vit", "abc")]
    assert_agree(ours, theirs, (8, 8), run=lambda x: theirs(x).logits)


# the new grids differ from the old one on both axes, and from each other
@pytest.mark.parametrize("size", [(12, 10), (4, 14)])
def test_another_resolution_than_trained(redraw, size):
    theirs = hugging_face_vit(redraw)
    state = theirs.state_dict()

    def run(x):
        return theirs(x, interpolate_pos_encoding=True).logits

    on_the_way = ViT.from_pretrained(state, heads=HEADS)
    assert_agree(on_the_way, theirs, size, hugging_face_names, run, lambda x: on_the_way(x, interpolate=True))
    # stretched once in float32 when it was loaded, not in float64 on the way
    for_good = ViT.from_pretrained(state, heads=HEADS, image_size=size)
    assert_agree(for_good, theirs, size, None, run, rtol=1e-5, atol=1e-5)

    theirs = timm_vit(redraw, (6, 8))
    ours = ViT.from_pretrained(theirs.state_dict(), heads=HEADS, trained_size=(6, 8), image_size=size, antialias=True)
    theirs.set_input_size(size)
    assert_agree(ours, theirs, size, timm_names)


def vit_pytorch_state(theirs: nn.Module, grid: tuple[int, int]) -> dict[str, Tensor]:
    """Under our names: patches there are ordered (row, column, channel), and most biases do not exist."""
    project = theirs.to_patch_embedding[2]
    weight = project.weight.unflatten(1, (PATCH, PATCH, C)).movedim(-1, 1).flatten(1)
    head = theirs.linear_head if hasattr(theirs, "linear_head") else theirs.mlp_head
    state = {"patches.proj.weight": weight, "patches.proj.bias": project.bias}
    for name, layer in (("norm", theirs.transformer.norm), ("head", head)):
        state |= {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias}
    for i, (attn, mlp) in enumerate(theirs.transformer.layers):
        out = attn.to_out if isinstance(attn.to_out, nn.Linear) else attn.to_out[0]
        linear = [layer for layer in mlp.net if isinstance(layer, nn.Linear)]
        parts = [("norm1", attn.norm), ("norm2", mlp.net[0]), ("mlp.0", linear[0]), ("mlp.2", linear[1])]
        for name, layer in [*parts, ("attn.out", out)]:
            state[f"blocks.{i}.{name}.weight"] = layer.weight
            state[f"blocks.{i}.{name}.bias"] = torch.zeros(DIM) if layer.bias is None else layer.bias
        for role, rows in zip(("query", "key", "value"), attn.to_qkv.weight.split(DIM), strict=True):
            state[f"blocks.{i}.attn.{role}.weight"] = rows
            state[f"blocks.{i}.attn.{role}.bias"] = torch.zeros(DIM)
    return state


def without_norms_around_the_projection(theirs: nn.Module) -> nn.Module:
    """Published ViTs have none there, so neither has ours; the rest is compared without them."""
    theirs.to_patch_embedding[1] = theirs.to_patch_embedding[3] = nn.Identity()
    return theirs


SIZES = dict(
    image_size=(6, 8), patch_size=PATCH, num_classes=CLASSES, dim=DIM, depth=DEPTH, heads=HEADS, mlp_dim=HIDDEN,
    channels=C, dim_head=DIM // HEADS,
)  # fmt: skip


def mean_or_cls(pool: str) -> ViT:
    return ViT((6, 8), PATCH, C, CLASSES, DIM, DEPTH, HEADS, mlp_ratio=HIDDEN / DIM, pool=pool, cls_token=pool == "cls")


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_vit_pytorch(redraw, pool):
    from vit_pytorch import ViT as TheirViT

    theirs = without_norms_around_the_projection(redraw(TheirViT(**SIZES, pool=pool)))
    state = vit_pytorch_state(theirs, (3, 4)) | {"positions.table": theirs.pos_embedding}
    if pool == "cls":
        state["cls"] = theirs.cls_token[0]
    ours = mean_or_cls(pool)
    ours.load_state_dict(state)
    assert_agree(ours, theirs, (6, 8))


def test_simple_vit_with_sincos_positions(redraw):
    from vit_pytorch import SimpleViT

    from course_lib.positions import sincos_2d

    theirs = without_norms_around_the_projection(redraw(SimpleViT(**SIZES)))
    # theirs has columns before rows and sines before cosines, and exponents i/(d/4 - 1): ours with another base
    base = 10000.0 ** ((DIM / 4) / (DIM / 4 - 1))
    rows, columns = sincos_2d(3, 4, DIM, base, dtype=torch.float64).chunk(2, dim=-1)
    halves = [axis[:, start::2] for axis in (columns, rows) for start in (0, 1)]
    ours = mean_or_cls("mean")
    ours.load_state_dict(vit_pytorch_state(theirs, (3, 4)) | {"positions.table": torch.cat(halves, dim=-1)})
    # their table is kept in float32
    assert_agree(ours, theirs, (6, 8), rtol=1e-5, atol=1e-5)


def test_a_fresh_head_for_other_classes(redraw):
    theirs = timm_vit(redraw, (8, 8))
    ours = ViT.from_pretrained(theirs.state_dict(), heads=HEADS, classes=4)
    assert ours.head.weight.shape == (4, DIM)
    fresh = ViT.from_pretrained(theirs.state_dict(), heads=HEADS, classes=CLASSES)
    assert not torch.equal(fresh.head.weight, theirs.head.weight)
    bare = ViT.from_pretrained(theirs.state_dict(), heads=HEADS, classes=0)
    images = draw(B, C, 8, 8).float()
    for model in (ours, bare):
        torch.testing.assert_close(model.states(images), theirs.forward_features(images), rtol=1e-4, atol=1e-5)


def test_what_is_no_plain_vit_is_refused_in_words(redraw, tmp_path):
    state = timm_vit(redraw, (8, 8)).state_dict()

    def refused(message: str, source, **choices) -> None:
        with pytest.raises(ValueError, match=message):
            load_vit(ViT, source, **{"heads": HEADS} | choices)

    refused("not the state dict of a ViT", {})
    refused("not the state dict of a ViT.*self_attn", nn.TransformerEncoderLayer(4, 2, 3).state_dict())
    refused("give `heads`", state, heads=None)
    refused("20 channels cannot be cut into 3 equal heads", state, heads=3)
    refused("'fc_norm.weight' has no place", timm_vit(redraw, (8, 8), global_pool="avg").state_dict())
    refused("'blocks.0.ls1.gamma' has no place", timm_vit(redraw, (8, 8), init_values=0.1).state_dict())
    refused("q_norm", timm_vit(redraw, (8, 8), qk_norm=True).state_dict())
    refused("no square image: give `trained_size`", timm_vit(redraw, (6, 8)).state_dict())
    refused("3×4 grid.*13 positions.*table has 17", state, trained_size=(6, 8))
    refused("cannot be cut into patches", state, image_size=9)
    refused("not whole.*'positions.table'", {n: t for n, t in state.items() if n != "pos_embed"})
    refused("blocks.1.norm1.bias is missing", {n: t for n, t in state.items() if n != "blocks.1.norm1.bias"})
    refused("blocks.1.mlp.2.bias is", state | {"blocks.1.mlp.fc2.bias": torch.zeros(3)})
    refused("tensors only.*'epoch' is a int", state | {"epoch": 3})
    refused("squares.*2×4", state | {"patch_embed.proj.weight": torch.zeros(DIM, C, 2, 4)})
    refused('"cls", with a cls token', {n: t for n, t in state.items() if n != "cls_token"}, trained_size=8)

    (tmp_path / "broken.pth").write_bytes(b"no weights")
    refused("no file of weights", tmp_path / "broken.pth")
    hugging_face_vit(redraw, hidden_act="gelu_new").save_pretrained(tmp_path / "tanh")
    refused("hidden_act is 'gelu_new'", tmp_path / "tanh")
    (tmp_path / "config.json").write_text('{"global_pool": "map"}')
    refused("no plain ViT.*global_pool", tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="neither model.safetensors"):
        load_vit(ViT, tmp_path)
