"""Positional encodings: their formulas written out, their laws, and their refusals."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.attention import MultiHeadAttention, is_permutation_equivariant
from course_lib.positions import (
    LearnedPositions,
    RotaryAttention,
    alibi_bias,
    alibi_slopes,
    fourier_features,
    resize_positions,
    rope,
    shift_matrix,
    sincos_2d,
    sinusoidal,
)

F64 = torch.float64


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def test_sinusoids_by_the_formula():
    table = sinusoidal(7, 6, base=100.0, dtype=F64)
    for p in range(7):
        for i in range(3):
            angle = p / 100.0 ** (2 * i / 6)
            assert table[p, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-12)
            assert table[p, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-12)
    assert sinusoidal(7, 6).dtype == torch.float32 and sinusoidal(0, 6).shape == (0, 6)


def test_far_positions_are_as_exact_as_near_ones():
    # in float32 the angle itself would be wrong in the fourth digit here
    assert sinusoidal(100_001, 4)[-1, 0].item() == pytest.approx(math.sin(100_000), abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(-40, 40), st.integers(1, 6), st.sampled_from([7.0, 100.0, 10000.0]))
def test_a_shift_is_one_matrix_for_all_positions(offset, pairs, base):
    table = sinusoidal(90, 2 * pairs, base, dtype=F64)
    matrix = shift_matrix(offset, 2 * pairs, base, dtype=F64)
    start = max(0, -offset)
    here, there = table[start : start + 50], table[start + offset : start + offset + 50]
    torch.testing.assert_close(here @ matrix.T, there)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(2 * pairs, dtype=F64))  # a rotation


def test_shifts_add_up_and_need_not_be_whole():
    a, b = shift_matrix(1.25, 6, dtype=F64), shift_matrix(-3, 6, dtype=F64)
    torch.testing.assert_close(a @ b, shift_matrix(-1.75, 6, dtype=F64))


@pytest.mark.parametrize(
    "make", [lambda: sinusoidal(3, 5), lambda: shift_matrix(1, 5), lambda: rope(draw(2, 5), torch.arange(2))]
)
def test_odd_channels_are_refused(make):
    with pytest.raises(ValueError, match="must be even, not 5"):
        make()


def test_learned_positions(device):
    learned = LearnedPositions(6, 5).to(device)
    tokens = torch.randn(2, 4, 5, device=device)
    out = learned(tokens)
    torch.testing.assert_close(out - tokens, learned.table[:4].expand(2, 4, 5))
    out.sum().backward()
    assert learned.table.grad.sum(1).tolist() == [10, 10, 10, 10, 0, 0]
    with pytest.raises(ValueError, match="6 positions, but there are 7 tokens"):
        learned(torch.zeros(2, 7, 5, device=device))


def test_rope_by_complex_multiplication(device):
    exact = torch.float32 if device.type == "mps" else F64
    x = draw(2, 3, 5, 8).to(device, exact)
    positions = torch.tensor([3, 0, 7, 7, 2], device=device)
    turned = rope(x, positions, base=100.0)
    pairs = torch.view_as_complex(x.cpu().to(F64).reshape(2, 3, 5, 4, 2))
    theta = torch.tensor([100.0 ** (-2 * i / 8) for i in range(4)], dtype=F64)
    wanted = torch.view_as_real(pairs * torch.exp(1j * positions.cpu()[:, None] * theta)).flatten(-2)
    torch.testing.assert_close(turned.cpu().to(F64), wanted, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(turned[:, :, 1], x[:, :, 1])  # position 0 is left as it is


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(-50, 50), min_size=4, max_size=4), st.integers(-100_000, 100_000))
def test_rope_products_depend_on_differences_alone(positions, shift):
    q, k = draw(3, 4, 6, seed=1), draw(3, 4, 6, seed=2)
    places = torch.tensor(positions)
    products = rope(q, places, 50.0) @ rope(k, places, 50.0).mT
    torch.testing.assert_close(rope(q, places + shift, 50.0) @ rope(k, places + shift, 50.0).mT, products)
    lone = torch.stack(
        [
            torch.stack(
                [(q[:, i] * rope(k[:, j, None], places[j : j + 1] - places[i], 50.0)[:, 0]).sum(-1) for j in range(4)],
                dim=-1,
            )
            for i in range(4)
        ],
        dim=-2,
    )
    torch.testing.assert_close(products, lone)


def test_rope_is_a_rotation_and_its_gradient_the_one_back():
    x, places = draw(2, 5, 6).requires_grad_(), torch.tensor([4, 1, 1, 9, 2])
    turned = rope(x, places)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    weight = draw(2, 5, 6, seed=3)
    (gradient,) = torch.autograd.grad((turned * weight).sum(), x)
    torch.testing.assert_close(gradient, rope(weight, -places))
    assert torch.autograd.gradcheck(lambda t: rope(t, places), [x])


def test_rope_positions_of_each_item_and_in_half_precision():
    x, places = draw(2, 3, 5, 6), torch.stack([torch.arange(5), torch.tensor([9, 8, 3, 3, 0])])
    turned = rope(x, places[:, None])
    torch.testing.assert_close(turned[1], rope(x[1], places[1]))
    half = rope(x.bfloat16(), torch.arange(5) + 40_000)
    assert half.dtype == torch.bfloat16
    # bfloat16 has no number between 40,000 and 40,192: the positions themselves must not be rounded to it
    torch.testing.assert_close(half.double(), rope(x, torch.arange(5) + 40_000), atol=0.03, rtol=0.02)
    with pytest.raises(ValueError, match="do not fit"):
        rope(x, torch.arange(4))
    with pytest.raises(ValueError, match="do not fit"):
        rope(x[:1], torch.zeros(2, 1, 5))  # would make the result larger than x


@pytest.mark.parametrize("heads", [1, 2, 4, 8, 16])
def test_alibi_slopes_of_a_power_of_two(heads):
    assert alibi_slopes(heads).tolist() == pytest.approx([2 ** (-8 * (i + 1) / heads) for i in range(heads)])


def test_alibi_slopes_between_powers_of_two():
    assert alibi_slopes(6).tolist() == pytest.approx([1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2, 1 / 8])
    assert alibi_slopes(3).tolist() == pytest.approx([1 / 16, 1 / 256, 1 / 4])
    with pytest.raises(ValueError, match="at least one head"):
        alibi_slopes(0)


def test_alibi_bias_by_a_loop():
    bias = alibi_bias(3, 5, dtype=F64)
    for h, slope in enumerate([1 / 16, 1 / 256, 1 / 4]):
        for i in range(5):
            for j in range(5):
                assert bias[h, i, j].item() == pytest.approx(-slope * abs(i - j))
    assert alibi_bias(3, 5).dtype == torch.float32


@pytest.mark.parametrize(("h", "w"), [(3, 5), (5, 3)])
def test_places_of_a_grid(h, w):
    table = sincos_2d(h, w, 8, base=50.0, dtype=F64)
    assert table.shape == (h * w, 8)
    for r in range(h):
        for c in range(w):
            for part, p in enumerate((r, c)):
                for i in range(2):
                    angle = p / 50.0 ** (2 * i / 4)
                    pair = table[r * w + c, 4 * part + 2 * i : 4 * part + 2 * i + 2].tolist()
                    assert pair == pytest.approx([math.sin(angle), math.cos(angle)])
    with pytest.raises(ValueError, match="6 channels"):
        sincos_2d(h, w, 6)


def test_fourier_features_by_the_formula():
    coords, waves = draw(2, 5, 3), draw(4, 3, seed=1)
    features = fourier_features(coords, waves)
    assert features.shape == (2, 5, 8)
    for i in range(4):
        phase = 2 * math.pi * sum(waves[i, c] * coords[..., c] for c in range(3))
        torch.testing.assert_close(features[..., i], phase.cos())
        torch.testing.assert_close(features[..., 4 + i], phase.sin())
    assert torch.autograd.gradcheck(lambda v: fourier_features(v, waves), [coords.requires_grad_()])
    with pytest.raises(ValueError, match="do not fit points of 3"):
        fourier_features(coords, waves.T)


def cubic_weights(old: int, new: int) -> torch.Tensor:
    """Cubic convolution (Keys 1981), a = -3/4, between centres of cells, the border repeated: [new old]."""
    weights = torch.zeros(new, old, dtype=F64)
    for i in range(new):
        place = (i + 0.5) * old / new - 0.5
        for j in range(math.floor(place) - 1, math.floor(place) + 3):
            d, a = abs(place - j), -0.75
            near, far = (a + 2) * d**3 - (a + 3) * d**2 + 1, a * (d**3 - 5 * d**2 + 8 * d - 4)
            weights[i, min(max(j, 0), old - 1)] += near if d <= 1 else far
    return weights


@pytest.mark.parametrize("new", [(7, 9), (9, 7), (2, 3), (4, 11)])
def test_resizing_by_cubic_convolution(new):
    prefix, grid = draw(2, 6), draw(4 * 5, 6, seed=1)
    resized = resize_positions(torch.cat([prefix, grid]), (4, 5), new, n_prefix=2)
    wanted = torch.einsum("ir,jc,rcd->ijd", cubic_weights(4, new[0]), cubic_weights(5, new[1]), grid.reshape(4, 5, 6))
    torch.testing.assert_close(resized, torch.cat([prefix, wanted.reshape(-1, 6)]))


def test_resizing_to_the_same_size_changes_nothing_and_copies():
    table = draw(1, 1 + 6, 5)
    same = resize_positions(table, (2, 3), (2, 3))
    assert torch.equal(same, table) and same.data_ptr() != table.data_ptr()
    assert not torch.allclose(resize_positions(table, (2, 3), (3, 2)), table)
    assert resize_positions(table.bfloat16(), (2, 3), (4, 5)).dtype == torch.bfloat16
    with pytest.raises(ValueError, match="need 7 positions, but the table has 6"):
        resize_positions(table[:, 1:], (2, 3), (4, 5))


def test_rotary_attention_is_attention_between_rotated_heads(device, redraw):
    rotary = redraw(RotaryAttention(12, 3, base=30.0)).to(device)
    x, context = torch.randn(2, 5, 12, device=device), torch.randn(2, 7, 12, device=device)
    mask = torch.rand(5, 7, device=device) > 0.4
    for h in range(3):
        part = slice(4 * h, 4 * h + 4)
        q = rope(rotary.query(x)[..., part], torch.arange(5, device=device), 30.0)
        k = rope(rotary.key(context)[..., part], torch.arange(7, device=device), 30.0)
        scores = (q @ k.mT / 2).masked_fill(~mask, -1e30)
        maps = rotary.attention_maps(x, context, mask)[:, h]
        torch.testing.assert_close(maps, scores.softmax(-1) * mask.any(-1, keepdim=True))
    values = rotary.value(context).unflatten(-1, (3, 4)).transpose(1, 2)
    heads = rotary.attention_maps(x, context, mask) @ values
    torch.testing.assert_close(rotary(x, context, mask), rotary.out(heads.transpose(1, 2).flatten(2)))


def test_rotary_attention_breaks_the_symmetry_that_attention_has(redraw):
    x = torch.randn(2, 6, 12)
    rotary, plain = redraw(RotaryAttention(12, 3)), redraw(MultiHeadAttention(12, 3))
    assert is_permutation_equivariant(plain, x) and not is_permutation_equivariant(rotary, x)
    plain.load_state_dict(rotary.state_dict())  # same parameters, same names
    torch.testing.assert_close(rotary(x[:, :1]), plain(x[:, :1]))  # a lone token stands at 0
    with pytest.raises(ValueError, match="15/3 is odd"):
        RotaryAttention(15, 3)


def test_nothing_is_made_on_another_device():
    """The meta device refuses tensors of any other, so that this also tells on a machine with a CPU alone."""
    meta = torch.device("meta")
    x, places = torch.zeros(2, 5, 12, device=meta), torch.arange(5, device=meta)
    for out in [
        sinusoidal(5, 6, device=meta) @ shift_matrix(2, 6, device=meta),
        sincos_2d(2, 3, 8, device=meta),
        alibi_bias(3, 5, device=meta),
        LearnedPositions(6, 12).to(meta)(x),
        rope(x, places),
        fourier_features(x, torch.zeros(4, 12, device=meta)),
        resize_positions(x, (2, 2), (3, 4)),
        RotaryAttention(12, 3).to(meta)(x, mask=torch.ones(5, 5, dtype=torch.bool, device=meta)),
    ]:
        assert out.device == meta
