"""The ViT room: shapes and laws of the model, of looking at attention, of the schedule and of judging."""

import math
from itertools import combinations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from course_lib.attention import TransformerBlock
from course_lib.tokens import PatchEmbed, patchify
from course_lib.vit import (
    ViT,
    attention_rollout,
    cls_attention_maps,
    evaluate,
    mask_from_attention,
    pool,
    prepend_cls,
    warmup_cosine,
)

# every size differs from every other, so that no two axes can be swapped unnoticed
B, C, PATCH, CLASSES, DIM, DEPTH, HEADS = 7, 5, 3, 11, 12, 2, 4
SIZES = [(6, 9), (9, 6)]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def small(redraw, size=SIZES[0], **choices) -> ViT:
    return redraw(ViT(size, PATCH, C, CLASSES, DIM, DEPTH, HEADS, **choices)).double().eval()


def weights(*shape: int, seed: int = 0) -> Tensor:
    """Attention that could be: rows sum to one and no two are alike."""
    return (2 * draw(*shape, seed=seed)).softmax(-1)


# the parts


@pytest.mark.parametrize("shape", [(DIM,), (1, DIM), (1, 1, DIM)])
def test_the_cls_token_comes_first_in_every_image(shape):
    tokens, cls = draw(B, 6, DIM), draw(*shape, seed=1)
    before = tokens.clone()
    out = prepend_cls(tokens, cls)
    assert out.shape == (B, 7, DIM)
    for b in range(B):
        assert torch.equal(out[b, 0], cls.reshape(-1)) and torch.equal(out[b, 1:], tokens[b])
    assert torch.equal(tokens, before)


def test_the_cls_tokens_gradient_gathers_those_of_all_images():
    cls = draw(DIM).requires_grad_()
    probe = draw(B, 7, DIM, seed=2)
    (prepend_cls(draw(B, 6, DIM, seed=1), cls) * probe).sum().backward()
    torch.testing.assert_close(cls.grad, sum(probe[b, 0] for b in range(B)))


def test_pooling_takes_the_cls_token_or_averages_the_patches():
    tokens = draw(B, 6, DIM)
    assert torch.equal(pool(tokens, "cls"), tokens[:, 0])
    for prefix in (0, 1, 2):
        expected = sum(tokens[:, i] for i in range(prefix, 6)) / (6 - prefix)
        torch.testing.assert_close(pool(tokens, "mean", n_prefix=prefix), expected)
    # what the cls token says must not change the mean of the patches
    other = tokens.clone()
    other[:, 0] += 1e3
    assert torch.equal(pool(other, "mean"), pool(tokens, "mean"))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: prepend_cls(draw(6, DIM), draw(DIM)), "Tokens must be"),
        (lambda: prepend_cls(draw(B, 6, DIM), draw(4)), "need a cls vector"),
        (lambda: prepend_cls(draw(B, 6, DIM), draw(B, 1, DIM)), "need a cls vector"),
        (lambda: prepend_cls(draw(B, 6, DIM), draw(DIM, 1)), "need a cls vector"),
        (lambda: pool(draw(B, 6, DIM), "max"), "not by 'max'"),
        (lambda: pool(draw(B, DIM), "cls"), "Tokens must be"),
        (lambda: pool(draw(B, 1, DIM), "mean"), "no patch to average"),
        (lambda: pool(draw(B, 6, DIM), "cls", n_prefix=0), "no cls token"),
    ],
)
def test_bad_tokens_are_refused_in_words(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# the model


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", ["cls", "mean"])
def test_vit_is_its_parts_written_out(redraw, size, how):
    model = small(redraw, size, pool=how)
    with torch.no_grad():
        model.cls.mul_(3)
    images = draw(B, C, *size)
    x = patchify(images, PATCH) @ model.patches.proj.weight.T + model.patches.proj.bias
    x = torch.cat([torch.stack([model.cls] * B)[:, None], x], dim=1) + model.positions.table
    for block in model.blocks:
        plain = TransformerBlock(DIM, HEADS).double()
        plain.load_state_dict(block.state_dict())
        x = plain(x)
    x = nn.functional.layer_norm(x, (DIM,), model.norm.weight, model.norm.bias)
    torch.testing.assert_close(model.states(images), x)
    one = x[:, 0] if how == "cls" else x[:, 1:].mean(1)
    torch.testing.assert_close(model(images), one @ model.head.weight.T + model.head.bias)


def test_names_and_shapes_of_a_vits_parts():
    model = ViT(SIZES[0], PATCH, C, CLASSES, DIM, DEPTH, HEADS)
    assert isinstance(model.patches, PatchEmbed) and isinstance(model.blocks, nn.ModuleList)
    assert all(isinstance(block, TransformerBlock) for block in model.blocks) and len(model.blocks) == DEPTH
    assert model.cls.shape == (DIM,) and model.positions.table.shape == (1 + 6, DIM)
    assert model.head.weight.shape == (CLASSES, DIM)
    drawn = [model.cls, model.positions.table, model.head.weight, model.patches.proj.weight]
    assert all(0.01 < p.std() < 0.03 for p in drawn)
    for name, p in model.blocks.named_parameters():
        if p.ndim == 2:
            bound = math.sqrt(6 / sum(p.shape))
            assert 0.9 * bound < p.abs().max() <= bound, name
        else:
            assert torch.equal(p, torch.full_like(p, float("norm" in name and name.endswith("weight")))), name
    assert len({id(p) for p in model.parameters()}) == 4 + DEPTH * 16 + 4


def test_every_parameter_matters(redraw):
    model = small(redraw)
    (model(draw(B, C, *SIZES[0])) * draw(B, CLASSES, seed=1)).sum().backward()
    for name, p in model.named_parameters():
        # softmax does not see what is added to all keys alike: that gradient is zero but for rounding
        assert (p.grad.abs().max() < 1e-10) == name.endswith("key.bias"), name


def test_images_of_a_batch_do_not_see_each_other(redraw):
    model = small(redraw)
    images = draw(B, C, *SIZES[0])
    each = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(model(images), each)


def test_without_positions_patches_are_a_set_and_with_them_they_are_not(redraw):
    model = small(redraw, pool="mean", cls_token=False)
    images = draw(B, C, *SIZES[0])
    # the upper and the lower row of patches change places
    swapped = torch.cat([images[..., PATCH:, :], images[..., :PATCH, :]], dim=-2)
    assert (model(images) - model(swapped)).abs().max() > 1e-3
    with torch.no_grad():
        model.positions.table.zero_()
    torch.testing.assert_close(model(images), model(swapped))


def test_without_a_cls_token_there_is_neither_token_nor_row(redraw):
    model = small(redraw, pool="mean", cls_token=False)
    assert model.cls is None and model.n_prefix == 0 and model.positions.table.shape == (6, DIM)
    assert not any(name.startswith("cls") for name in model.state_dict())
    images = draw(B, C, *SIZES[0])
    states = model.states(images)
    assert states.shape == (B, 6, DIM)
    torch.testing.assert_close(model(images), model.head(states.mean(1)))
    assert model.attention_maps(images).shape == (DEPTH, B, HEADS, 6, 6)


def test_no_classes_leave_the_pooled_vector(redraw):
    model = redraw(ViT(SIZES[0], PATCH, C, 0, DIM, DEPTH, HEADS)).double()
    images = draw(B, C, *SIZES[0])
    torch.testing.assert_close(model(images), model.states(images)[:, 0])


def test_attention_maps_are_the_weights_that_the_model_uses(redraw):
    model = small(redraw)
    images = draw(B, C, *SIZES[0])
    maps = model.attention_maps(images)
    assert maps.shape == (DEPTH, B, HEADS, 7, 7)
    torch.testing.assert_close(maps.sum(-1), torch.ones_like(maps[..., 0]))
    # the last block's output, worked out from its map, is what the model goes on with
    last, before = model.blocks[-1], []
    handle = last.register_forward_pre_hook(lambda _, inputs: before.append(inputs[0]))
    states = model.states(images)
    handle.remove()
    x = before[0]
    values = last.attn.value(last.norm1(x)).unflatten(-1, (HEADS, -1))  # [b n h e]
    x = x + last.attn.out(torch.einsum("bhnm,bmhe->bnhe", maps[-1], values).flatten(-2))
    torch.testing.assert_close(model.norm(x + last.mlp(last.norm2(x))), states)


def bright_patches(number: int) -> tuple[Tensor, Tensor]:
    """Noise with one bright patch, labelled by whether that is in the upper or in the lower row."""
    rows, columns = torch.randint(2, (number,)), torch.randint(3, (number,))
    images = 0.3 * torch.randn(number, C, *SIZES[0])
    for image, row, column in zip(images, rows, columns, strict=True):
        image[:, row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH] += 1
    return images, rows


def test_vit_learns_where_something_is():
    # new images at each step: no image can be learned by heart
    torch.manual_seed(0)
    model = ViT(SIZES[0], PATCH, C, 2, DIM, DEPTH, HEADS)
    optimiser = torch.optim.AdamW(model.parameters())
    for step in range(100):
        images, rows = bright_patches(64)
        optimiser.param_groups[0]["lr"] = warmup_cosine(step, 10, 100, 1e-2)
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(images), rows).backward()
        optimiser.step()
    assert evaluate(model, [bright_patches(256)]) > 0.98
    # it is the positions that tell
    with torch.no_grad():
        model.positions.table.zero_()
    assert evaluate(model, [bright_patches(256)]) < 0.7


def test_eps_reaches_every_norm():
    model = ViT(SIZES[0], PATCH, C, CLASSES, DIM, DEPTH, HEADS, eps=0.25)
    assert [m.eps for m in model.modules() if isinstance(m, nn.LayerNorm)] == [0.25] * (2 * DEPTH + 1)


def test_dropout_acts_in_training_only(redraw):
    model = redraw(ViT(SIZES[0], PATCH, C, CLASSES, DIM, DEPTH, HEADS, dropout=0.5)).double()
    images = draw(B, C, *SIZES[0])
    assert (model(images) - model(images)).abs().max() > 0
    # on the tokens, and in the blocks
    only_tokens = redraw(ViT(SIZES[0], PATCH, C, CLASSES, DIM, 0, HEADS, dropout=0.5)).double()
    assert (only_tokens(images) - only_tokens(images)).abs().max() > 0
    model.drop.p = 0.0
    assert (model(images) - model(images)).abs().max() > 0
    model.eval()
    plain = small(redraw)
    torch.testing.assert_close(model(images), plain(images))


@pytest.mark.parametrize("size", [(9, 6), (12, 15), (3, 3)])
def test_another_size_stretches_the_table(redraw, size):
    model = small(redraw)
    images = draw(B, C, *size)
    with pytest.raises(ValueError, match="Made for images"):
        model(images)
    out = model(images, interpolate=True)
    assert out.shape == (B, CLASSES)
    n = 1 + size[0] * size[1] // PATCH**2
    assert model.states(images, interpolate=True).shape == (B, n, DIM)
    assert model.attention_maps(images, interpolate=True).shape == (DEPTH, B, HEADS, n, n)
    out.sum().backward()
    assert model.positions.table.grad.abs().max() > 0


def test_interpolation_changes_nothing_at_the_trained_size(redraw):
    model = small(redraw)
    images = draw(B, C, *SIZES[0])
    assert torch.equal(model(images, interpolate=True), model(images))


@pytest.mark.parametrize(
    "sizes, choices, message",
    [
        ((8, PATCH, C, CLASSES, DIM, DEPTH, HEADS), {}, "cannot be cut into patches"),
        ((9, PATCH, C, CLASSES, DIM, DEPTH, 5), {}, "equal heads"),
        ((9, PATCH, C, -1, DIM, DEPTH, HEADS), {}, "cannot have"),
        ((9, PATCH, 0, CLASSES, DIM, DEPTH, HEADS), {}, "cannot have"),
        ((9, PATCH, C, CLASSES, DIM, DEPTH, HEADS), {"pool": "max"}, "not 'max'"),
        ((9, PATCH, C, CLASSES, DIM, DEPTH, HEADS), {"cls_token": False}, "with a cls token"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_in_words(sizes, choices, message):
    with pytest.raises(ValueError, match=message):
        ViT(*sizes, **choices)


def test_images_that_do_not_fit_are_refused_in_words(redraw):
    model = small(redraw)
    for images in (draw(B, 4, 12, 12), draw(C, 12, 12)):
        with pytest.raises(ValueError, match="Made for images"):
            model(images, interpolate=True)
    with pytest.raises(ValueError, match="no attention"):
        ViT(9, PATCH, C, CLASSES, DIM, 0, HEADS).attention_maps(draw(B, C, 9, 9).float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_vit_runs_on_every_device_in_the_dtype_it_is_given(redraw, device, dtype):
    model = small(redraw)
    images = draw(B, C, 12, 9)
    expected = model(images, interpolate=True)
    with torch.no_grad():
        out = model.to(device, dtype)(images.to(device, dtype), interpolate=True)
    assert out.dtype == dtype and out.device.type == device.type
    tolerance = 1e-4 if dtype == torch.float32 else 0.3
    torch.testing.assert_close(out.cpu().double(), expected, rtol=0, atol=tolerance)


# looking at attention


@pytest.mark.parametrize("grid", [(2, 3), (3, 2), (1, 6)])
def test_cls_maps_lay_patches_out_row_by_row(grid):
    attn = weights(B, HEADS, 7, 7)
    maps = cls_attention_maps(attn, grid)
    assert maps.shape == (B, HEADS, *grid)
    for row in range(grid[0]):
        for column in range(grid[1]):
            assert torch.equal(maps[..., row, column], attn[:, :, 0, 1 + row * grid[1] + column])
    torch.testing.assert_close(maps.sum((-1, -2)), 1 - attn[:, :, 0, 0])


@pytest.mark.parametrize("shape, grid", [((B, HEADS, 7, 7), (2, 4)), ((B, HEADS, 6, 7), (2, 3)), ((7,), (2, 3))])
def test_cls_maps_that_do_not_fit_are_refused_in_words(shape, grid):
    with pytest.raises(ValueError, match="need attention"):
        cls_attention_maps(draw(*shape), grid)


def rollout_by_loops(attns: list[Tensor], b: int) -> Tensor:
    """Follow each last token back through the layers, path by path, as sums over single numbers."""
    n = attns[0].shape[-1]

    def share(layer: int, last: int, first: int) -> float:
        if layer < 0:
            return float(last == first)
        total = 0.0
        for via in range(n):
            mean = sum(float(attns[layer][b, h, last, via]) for h in range(HEADS)) / HEADS
            total += (0.5 * mean + 0.5 * (last == via)) * share(layer - 1, via, first)
        return total

    return torch.tensor([[share(len(attns) - 1, i, j) for j in range(n)] for i in range(n)], dtype=torch.float64)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_rollout_is_the_sum_over_paths(depth):
    attns = [weights(3, HEADS, 5, 5, seed=i) for i in range(depth)]
    copies = [a.clone() for a in attns]
    rollout = attention_rollout(attns)
    for b in range(3):
        torch.testing.assert_close(rollout[b], rollout_by_loops(attns, b))
    torch.testing.assert_close(attention_rollout(torch.stack(attns)), rollout)
    assert all(torch.equal(a, c) for a, c in zip(attns, copies, strict=True))


@given(depth=st.integers(1, 6), n=st.integers(1, 8), seed=st.integers(0, 2**16))
@settings(max_examples=30, deadline=None)
def test_rows_of_a_rollout_sum_to_one_and_nothing_is_negative(depth, n, seed):
    attns = [weights(2, 3, n, n, seed=seed + i) for i in range(depth)]
    rollout = attention_rollout(attns)
    torch.testing.assert_close(rollout.sum(-1), torch.ones(2, n, dtype=torch.float64))
    assert (rollout >= 0).all()
    # attention without an order of layers would not notice them reversed
    if depth > 1 and n > 1:
        assert not torch.allclose(attention_rollout(attns[::-1]), rollout, atol=1e-9)


def test_a_row_that_attends_to_nothing_keeps_its_own_token():
    attn = weights(2, HEADS, 5, 5)
    attn[:, :, 3] = 0
    expected = torch.zeros(2, 5, dtype=torch.float64)
    expected[:, 3] = 1
    torch.testing.assert_close(attention_rollout([attn, attn])[:, 3], expected)


@pytest.mark.parametrize("attns", [[], [weights(2, 3, 3)], [weights(2, 3, 5, 5), weights(2, 3, 4, 4)]])
def test_rollouts_that_do_not_fit_are_refused_in_words(attns):
    with pytest.raises(ValueError, match="nothing to roll out|same shape"):
        attention_rollout(attns)


def fewest(values: list[float], keep: float) -> int:
    """Try all sets of patches, from small ones to large ones."""
    for size in range(len(values) + 1):
        if any(math.fsum(chosen) >= keep * math.fsum(values) * (1 - 1e-6) for chosen in combinations(values, size)):
            return size
    raise AssertionError("all patches together hold everything")


@given(
    values=st.lists(st.integers(0, 9), min_size=6, max_size=6),
    keep=st.sampled_from([0.1, 0.5, 0.6, 2 / 3, 0.9, 1.0]),
)
@example(values=[1, 1, 1, 1, 1, 0], keep=0.6)  # three of five are exactly enough
@example(values=[9, 0, 0, 0, 0, 0], keep=1.0)
@example(values=[0] * 6, keep=0.6)
@settings(max_examples=100, deadline=None)
def test_a_mask_holds_enough_and_is_the_smallest_that_does(values, keep):
    map = torch.tensor(values, dtype=torch.float64).reshape(2, 3) / 10
    mask = mask_from_attention(map, keep)
    assert mask.shape == (2, 3) and mask.dtype == torch.bool
    held, total = map[mask].sum(), map.sum()
    assert held >= keep * total * (1 - 1e-6)
    assert mask.sum() == fewest(map.flatten().tolist(), keep)
    if mask.any() and not mask.all():
        assert map[mask].min() >= map[~mask].max()


@given(seed=st.integers(0, 2**16), keep=st.floats(0.01, 1.0))
@settings(max_examples=50, deadline=None)
def test_more_mass_only_adds_patches_and_scale_does_not_matter(seed, keep):
    map = weights(2, 12, seed=seed).reshape(2, 3, 4)
    mask = mask_from_attention(map, keep)
    assert (mask_from_attention(map, keep / 2) <= mask).all()
    assert torch.equal(mask_from_attention(map * 4, keep), mask)
    assert torch.equal(mask_from_attention(map.flip(-1), keep), mask.flip(-1))


def test_masks_are_made_map_by_map_and_leave_the_maps_alone(device):
    maps = weights(B, HEADS, 6).reshape(B, HEADS, 2, 3).to(device, torch.float32)
    maps[1] *= 100
    before = maps.clone()
    masks = mask_from_attention(maps, 0.5)
    assert masks.device == maps.device and torch.equal(maps, before)
    for b in range(B):
        for h in range(HEADS):
            assert torch.equal(masks[b, h], mask_from_attention(maps[b, h], 0.5))
    assert len({tuple(mask.flatten().tolist()) for mask in masks.cpu().flatten(0, 1)}) > 3


def test_equal_patches_are_taken_row_by_row():
    assert mask_from_attention(torch.ones(2, 3), 0.6).tolist() == [[True, True, True], [True, False, False]]
    assert mask_from_attention(torch.full((2, 5), 0.1), 0.6).sum() == 6


@pytest.mark.parametrize(
    "map, keep",
    [(torch.ones(2, 3), 0.0), (torch.ones(2, 3), 1.1), (-torch.ones(2, 3), 0.6), (torch.ones(6), 0.6),
     (torch.full((2, 3), math.nan), 0.6),
     (torch.full((2, 3), math.inf), 0.6)],
)  # fmt: skip
def test_masks_that_make_no_sense_are_refused_in_words(map, keep):
    with pytest.raises(ValueError, match="share to keep|A map must be|finite and not negative"):
        mask_from_attention(map, keep)


# the schedule


def test_the_schedule_goes_up_to_the_peak_and_down_to_the_floor():
    rates = [warmup_cosine(step, 5, 25, 3.0, 0.5) for step in range(30)]
    torch.testing.assert_close(rates[:5], [3.0 * i / 5 for i in range(1, 6)])
    assert rates[5] == 3.0
    assert rates[15] == pytest.approx((3.0 + 0.5) / 2)  # half way down the cosine
    assert rates[25:] == [0.5] * 5
    assert all(a > b for a, b in zip(rates[5:25], rates[6:26], strict=True))


@given(warmup=st.integers(0, 40), fall=st.integers(1, 60), peak=st.floats(0.01, 10), share=st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_the_schedule_never_jumps_and_stays_between_its_ends(warmup, fall, peak, share):
    total, floor = warmup + fall, peak * share
    rates = [warmup_cosine(step, warmup, total, peak, floor) for step in range(total + 3)]
    assert max(rates) == pytest.approx(peak) and rates[-1] == floor
    assert all(0 < rate <= peak * (1 + 1e-12) for rate in rates[:total])
    rise = peak / max(warmup, 1)
    # a cosine over `fall` steps is nowhere steeper than this
    drop = (peak - floor) * math.pi / (2 * fall)
    for a, b in zip(rates, rates[1:], strict=False):
        assert -drop - 1e-9 <= b - a <= rise + 1e-9


def test_the_cosine_is_torchs():
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=13, eta_min=0.25)
    for step in range(7, 21):
        assert warmup_cosine(step, 7, 20, 2.0, 0.25) == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        torchs.step()


# judging


class Witness(nn.Module):
    """Passes logits on and notes how it was called."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.drop = nn.Dropout(0.9)
        self.frozen = nn.BatchNorm1d(3).eval()
        self.fails = fails
        self.seen: list[tuple[bool, bool, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((self.training, self.drop.training, torch.is_grad_enabled()))
        if self.fails:
            raise RuntimeError("out of paper")
        return self.frozen(self.drop(x)) * self.scale


def uneven(device: torch.device | str = "cpu") -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(5)
    return [
        (torch.randn(b, 3, generator=generator).to(device), torch.randint(3, (b,), generator=generator).to(device))
        for b in (8, 8, 1, 3)
    ]


def test_accuracy_counts_examples_and_not_batches(device):
    batches = uneven()
    right = [
        int(max(range(3), key=x.tolist().__getitem__) == y) for xs, ys in batches for x, y in zip(xs, ys, strict=True)
    ]
    model = Witness().to(device)
    accuracy = evaluate(model, batches)
    assert isinstance(accuracy, float) and accuracy == sum(right) / 20
    by_batch = [sum(part) / len(part) for part in (right[:8], right[8:16], right[16:17], right[17:])]
    assert accuracy != pytest.approx(sum(by_batch) / 4)
    # dropout and the running statistics of a batch norm would have changed it
    assert evaluate(model, iter(uneven(device))) == accuracy


def test_evaluating_neither_trains_nor_records_and_restores_every_mode():
    model = Witness().train()
    model.frozen.eval()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    evaluate(model, uneven())
    assert model.seen == [(False, False, False)] * 4
    assert model.training and model.drop.training and not model.frozen.training
    assert torch.is_grad_enabled() and model.scale.grad is None
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    model.eval()
    evaluate(model, uneven())
    assert not model.training and not model.drop.training


def test_modes_and_gradients_are_restored_after_a_failure():
    model = Witness(fails=True).train()
    with pytest.raises(RuntimeError, match="out of paper"):
        evaluate(model, uneven())
    assert model.training and model.drop.training and torch.is_grad_enabled()


def test_a_vit_with_dropout_is_judged_without_it(redraw):
    model = redraw(ViT(SIZES[0], PATCH, C, CLASSES, DIM, DEPTH, HEADS, dropout=0.5))
    images = draw(B, C, *SIZES[0]).float()
    labels = model.eval()(images).argmax(-1)
    assert evaluate(model.train(), [(images[:5], labels[:5]), (images[5:], labels[5:])]) == 1.0
    assert evaluate(model, [(images, (labels + 1) % CLASSES)]) == 0.0


def test_nothing_to_judge_or_labels_that_do_not_fit_are_refused_in_words():
    with pytest.raises(ValueError, match="no example"):
        evaluate(Witness(), [])
    for labels in (torch.zeros(4, dtype=torch.long), torch.zeros(8, 1, dtype=torch.long)):
        with pytest.raises(ValueError, match="shapes are"):
            evaluate(Witness(), [(torch.zeros(8, 3), labels)])
