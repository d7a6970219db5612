"""One transformer, seven ways of knowing positions: what each one can and cannot tell apart."""

from typing import get_args

import pytest
import torch
import torch.nn.functional as F

from course_lib.attention import TransformerBlock, is_permutation_equivariant
from course_lib.positions import alibi_bias, grid_places, rope, sincos_2d, sinusoidal
from course_lib.transformer import PlacedAttention, Positions, SequenceTransformer, Transformer

KINDS = get_args(Positions)
SEQUENCE = [kind for kind in KINDS if kind != "sincos_2d"]
SIZES = [(kind, size) for kind in KINDS for size in (7, (3, 4)) if not (kind == "sincos_2d" and size == 7)]
DIM, HEADS = 24, 3


def build(redraw, kind: str, size: int | tuple[int, int] = 7, depth: int = 2, **options) -> Transformer:
    torch.manual_seed(0)
    return redraw(Transformer(size, DIM, depth, HEADS, kind, **options)).double()


def draw(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, n, DIM, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("kind", "size"), SIZES)
def test_only_a_transformer_without_positions_is_permutation_equivariant(redraw, kind, size):
    model = build(redraw, kind, size)
    assert is_permutation_equivariant(model, draw(7 if size == 7 else 12)) == (kind == "none")


def test_without_positions_it_is_a_stack_of_plain_blocks(redraw):
    model = build(redraw, "none")
    x = wanted = draw(7)
    mask = torch.rand(2, 7, 7) > 0.3
    for block in model.blocks:
        plain = TransformerBlock(DIM, HEADS).double()
        plain.load_state_dict(block.state_dict())
        wanted = plain(wanted, mask)
    torch.testing.assert_close(model(x, mask), model.norm(wanted))


@pytest.mark.parametrize("kind", SEQUENCE)
def test_causal_outputs_take_no_gradient_from_later_tokens(redraw, kind):
    model = build(redraw, kind, causal=True)
    x = draw(7).requires_grad_()
    for i in range(7):
        (gradient,) = torch.autograd.grad(model(x)[:, i].square().sum(), x)
        reached = gradient.abs().sum((0, 2)) > 0
        assert reached.tolist() == [j <= i for j in range(7)]


@pytest.mark.parametrize("kind", SEQUENCE)
def test_causal_equals_a_causal_mask_and_both_masks_combine(redraw, kind):
    causal, free = build(redraw, kind, causal=True), build(redraw, kind)
    free.load_state_dict(causal.state_dict())
    x, triangle = draw(7), torch.ones(7, 7, dtype=torch.bool).tril()
    torch.testing.assert_close(causal(x), free(x, triangle))
    mask = torch.rand(2, HEADS, 7, 7) > 0.3
    torch.testing.assert_close(causal(x, mask), free(x, mask & triangle))
    torch.testing.assert_close(causal(x, mask[:, 0]), free(x, (mask & triangle)[:, 0]))


@pytest.mark.parametrize(("kind", "size"), SIZES)
def test_padding_changes_nothing_for_the_tokens_that_are_there(redraw, kind, size):
    model = build(redraw, kind, size)
    n = 7 if size == 7 else 12
    x, y = draw(n), draw(n)
    y[:, n - 2 :] = 1e3
    mask = (torch.arange(n) < n - 2).expand(n, n)
    torch.testing.assert_close(model(x, mask)[:, : n - 2], model(y, mask)[:, : n - 2])


@pytest.mark.parametrize("kind", SEQUENCE)
def test_rows_with_nothing_to_attend_to_stay_finite(redraw, kind):
    model, x = build(redraw, kind), draw(7).requires_grad_()
    mask = torch.rand(7, 7) > 0.3
    mask[3] = False
    out = model(x, mask)
    out.sum().backward()
    assert out.isfinite().all() and x.grad.isfinite().all()
    layer = model.blocks[0].attn
    lone = layer(x, grid_places((7,)), mask)[:, 3]
    torch.testing.assert_close(lone, layer.out.bias.expand_as(lone))


@pytest.mark.parametrize("kind", ["none", "rope", "alibi"])
def test_kinds_that_see_distances_do_not_notice_where_a_text_begins(redraw, kind):
    """A window over a longer text gives what it gives alone: only differences of positions count."""
    model, x = build(redraw, kind), draw(9)
    window = torch.zeros(9, 9, dtype=torch.bool)
    window[2:, 2:] = True
    torch.testing.assert_close(model(x, window)[:, 2:], model(x[:, 2:]))


@pytest.mark.parametrize("kind", ["learned", "sinusoidal", "fourier"])
def test_kinds_that_add_vectors_do_notice(redraw, kind):
    model, x = build(redraw, kind, size=9), draw(9)
    window = torch.zeros(9, 9, dtype=torch.bool)
    window[2:, 2:] = True
    assert not torch.allclose(model(x, window)[:, 2:], model(x[:, 2:]))


def test_alibi_attention_by_the_formula(redraw):
    layer, x = redraw(PlacedAttention(DIM, HEADS, "alibi", 1, 10000.0)).double(), draw(7)
    q, k, v = (t(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in (layer.query, layer.key, layer.value))
    scores = q @ k.mT / 8**0.5 + alibi_bias(HEADS, 7, dtype=torch.float64)
    wanted = layer.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(layer(x, grid_places((7,))), wanted)


def test_alibi_on_a_grid_takes_the_distance_on_the_grid(redraw):
    layer = redraw(PlacedAttention(DIM, HEADS, "alibi", 2, 10000.0)).double()
    bias = layer._bias(grid_places((3, 4)))
    assert bias[0, 1, 10].item() == pytest.approx(-(2**-4) * (2**2 + 1**2) ** 0.5)  # from (0, 1) to (2, 2)


def test_rope_on_a_grid_turns_half_the_channels_by_the_row_and_half_by_the_column(redraw):
    layer, x = redraw(PlacedAttention(DIM, HEADS, "rope", 2, 50.0)).double(), draw(12)
    q, k, v = (t(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in (layer.query, layer.key, layer.value))
    rows, columns = torch.arange(3).repeat_interleave(4), torch.arange(4).repeat(3)
    scores = rope(q[..., :4], rows, 50.0) @ rope(k[..., :4], rows, 50.0).mT
    scores = scores + rope(q[..., 4:], columns, 50.0) @ rope(k[..., 4:], columns, 50.0).mT
    wanted = layer.out(((scores / 8**0.5).softmax(-1) @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(layer(x, grid_places((3, 4))), wanted)


def test_added_vectors_are_those_of_the_tables(redraw):
    zero = torch.zeros(1, 12, DIM, dtype=torch.float64)
    options = dict(base=50.0, dtype=torch.float64)
    added = build(redraw, "sinusoidal", (3, 4), base=50.0).add(zero, (3, 4))[0]
    torch.testing.assert_close(added, sinusoidal(12, DIM, **options))
    added = build(redraw, "sincos_2d", (2, 6), base=50.0).add(zero, (3, 4))[0]
    torch.testing.assert_close(added, sincos_2d(3, 4, DIM, **options))
    learned = build(redraw, "learned", (3, 4)).add
    assert torch.equal(learned(zero, (3, 4))[0], learned.table)


def test_fourier_vectors_by_the_formula(redraw):
    add = build(redraw, "fourier", (2, 2), frequencies=5, scale=2.0).add
    places = [(2 * r + 1, 2 * c + 1) for r in range(3) for c in range(4)]
    coords = torch.tensor([(r / 3 - 1, c / 4 - 1) for r, c in places], dtype=torch.float64)
    phases = 2 * torch.pi * coords @ add.waves.T
    wanted = add.proj(torch.cat([phases.cos(), phases.sin()], -1))
    torch.testing.assert_close(add(torch.zeros(1, 12, DIM, dtype=torch.float64), (3, 4))[0], wanted)
    assert add.waves.shape == (5, 2) and "waves" in add.state_dict()


@pytest.mark.parametrize("kind", SEQUENCE)
def test_a_longer_sequence_begins_like_the_trained_one(redraw, kind):
    model = build(redraw, kind, causal=True, **({"beyond": "interpolate"} if kind == "learned" else {}))
    x = draw(14)
    longer = model(x)
    assert longer.shape == (2, 14, DIM) and longer.isfinite().all()
    # a stretched table moves even the places that were trained
    assert torch.allclose(longer[:, :7], model(x[:, :7])) == (kind != "learned")
    torch.testing.assert_close(model(x)[:, :5], model(x[:, :14])[:, :5])


def test_a_learned_table_ends_and_can_be_stretched(redraw):
    model = build(redraw, "learned")
    torch.testing.assert_close(model.add(draw(5), (5,)), draw(5) + model.add.table[:5])
    with pytest.raises(ValueError, match="places for 7 tokens, not for 8"):
        model(draw(8))
    with pytest.raises(ValueError, match="places for 3×4 tokens, not for 4×3"):
        build(redraw, "learned", (3, 4))(draw(12), size=(4, 3))
    stretched = build(redraw, "learned", beyond="interpolate").add
    zero = torch.zeros(1, 14, DIM, dtype=torch.float64)
    wanted = F.interpolate(stretched.table.T[None, :, None], size=(1, 14), mode="bicubic")[0, :, 0].T
    torch.testing.assert_close(stretched(zero, (14,))[0], wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_a_grid_is_not_its_transpose(redraw, kind):
    model = build(redraw, kind, (3, 4), **({"beyond": "interpolate"} if kind == "learned" else {}))
    across = model(draw(12), size=(4, 3))
    # numbered one after the other, the places of both grids are the same
    assert torch.allclose(across, model(draw(12))) == (kind in ("none", "sinusoidal"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(positions="rotary"), "Positions can be none, learned"),
        (dict(positions="sincos_2d"), "need a grid"),
        (dict(positions="rope", beyond="error"), "take no beyond"),
        (dict(positions="rope", dim=9), "multiples of 2, not 9/3"),
        (dict(positions="rope", dim=18, size=(3, 4)), "multiples of 4, not 18/3"),
        (dict(positions="sinusoidal", dim=9), "multiples of 2, not 9"),
        (dict(positions="sincos_2d", dim=18, size=(3, 4)), "multiples of 4, not 18"),
    ],
)
def test_choices_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Transformer(**dict(size=7, dim=DIM, depth=1, heads=HEADS) | arguments)


def test_tokens_that_do_not_fill_the_grid_are_refused(redraw):
    with pytest.raises(ValueError, match="11 tokens do not fill a grid of 3×4"):
        build(redraw, "none", (3, 4))(draw(11))
    with pytest.raises(ValueError, match="do not fill"):
        build(redraw, "none")(draw(6), size=(2, 3))


@pytest.mark.parametrize("kind", SEQUENCE)
def test_every_parameter_learns_on_every_device(device, kind):
    torch.manual_seed(0)
    model = SequenceTransformer(11, 7, DIM, 2, HEADS, kind, causal=True, classes=5).to(device)
    ids = torch.randint(11, (2, 7), device=device)
    logits = model(ids)
    assert logits.shape == (2, 7, 5)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    # softmax does not see a constant added to all keys, so a key's bias learns nothing unless it is turned
    dead = [name for name, p in model.named_parameters() if p.grad.abs().max() < 1e-5]
    assert all(name.endswith("key.bias") for name in dead)
    half = model.bfloat16()(ids)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), logits, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("kind", ["none", "sinusoidal", "rope"])
def test_an_order_is_learned_only_with_positions(kind):
    """Say whether the first token is larger than the last: without positions this cannot be known."""
    torch.manual_seed(1)
    model = SequenceTransformer(6, 5, 16, 2, 2, kind, classes=2)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    ids = torch.rand(400, 6).argsort(1)[:, :5]
    truth = (ids[:, 0] > ids[:, -1]).long()
    for _ in range(100):
        loss = F.cross_entropy(model(ids).mean(1), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    right = (model(ids).mean(1).argmax(1) == truth).float().mean()
    assert right < 0.75 if kind == "none" else right > 0.95


@pytest.mark.parametrize(("kind", "size"), SIZES)
def test_nothing_is_made_on_another_device(kind, size):
    """The meta device refuses tensors of any other, so that this also tells on a machine with a CPU alone."""
    n = 7 if size == 7 else 12
    model = Transformer(size, DIM, 2, HEADS, kind, causal=True).to("meta")
    mask = torch.ones(2, n, n, dtype=torch.bool, device="meta")
    assert model(torch.zeros(2, n, DIM, device="meta"), mask).device.type == "meta"
    assert model(torch.zeros(2, n, DIM, device="meta")).device.type == "meta"
