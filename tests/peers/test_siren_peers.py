"""The SIREN room against NumPy loops, finite differences, torch.func, scikit-image and the authors' formulas."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from course_lib.siren import (
    FourierFeatureField,
    ReluField,
    SineLayer,
    Siren,
    coordinate_grid,
    divergence,
    gradient,
    laplacian,
    poisson_loss,
    psnr,
    sdf_loss,
    siren_bound,
)

N, M, D, HIDDEN, OMEGA = 5, 7, 3, 6, 11.0


def points(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64) * 2 - 1


def small_siren(redraw, out: int = 1, depth: int = 3) -> Siren:
    """All weights drawn anew and small enough for finite differences to see through every sine."""
    model = redraw(Siren(D, HIDDEN, depth, out, omega=OMEGA, first_omega=4.0).double())
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(0.2)
    return model


def value_and_slope(model: Siren, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One point through a Siren neuron by neuron, and the chain rule by hand: [c], [c d]."""
    h, jacobian = list(x), [[float(i == j) for j in range(len(x))] for i in range(len(x))]
    for index, layer in enumerate(model.layers):
        affine = getattr(layer, "linear", layer)
        omega = (4.0 if index == 0 else OMEGA) if hasattr(layer, "linear") else None
        W, b = affine.weight.detach().numpy(), affine.bias.detach().numpy()
        new_h, new_jacobian = [], []
        for row, offset in zip(W, b, strict=True):
            z = sum(w * v for w, v in zip(row, h, strict=True)) + offset
            dz = [sum(w * j[k] for w, j in zip(row, jacobian, strict=True)) for k in range(len(x))]
            new_h.append(z if omega is None else math.sin(omega * z))
            new_jacobian.append([s if omega is None else omega * math.cos(omega * z) * s for s in dz])
        h, jacobian = new_h, new_jacobian
    return np.array(h), np.array(jacobian)


def central(f, x: Tensor, i: int, step: float = 1e-5) -> Tensor:
    shift = torch.zeros_like(x)
    shift[..., i] = step
    return (f(x + shift) - f(x - shift)) / (2 * step)


def second(f, x: Tensor, i: int, step: float = 1e-3) -> Tensor:
    """Fourth-order second difference along axis i."""
    shift = torch.zeros_like(x)
    shift[..., i] = step
    near, far = f(x + shift) + f(x - shift), f(x + 2 * shift) + f(x - 2 * shift)
    return (16 * near - far - 30 * f(x)) / (12 * step**2)


def test_grid_is_numpy_meshgrid():
    for h, w in [(3, 5), (6, 2)]:
        rows, columns = np.meshgrid(np.linspace(-1, 1, h), np.linspace(-1, 1, w), indexing="ij")
        expected = np.stack([rows.ravel(), columns.ravel()], axis=-1)
        np.testing.assert_allclose(coordinate_grid(h, w, dtype=torch.float64).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("fan_in, omega", [(2, 30.0), (7, 11.0), (256, 3000.0)])
def test_bounds_are_the_published_ones(fan_in, omega):
    assert siren_bound(fan_in, omega, first=True) == pytest.approx(1.0 / fan_in)
    assert siren_bound(fan_in, omega, first=False) == pytest.approx((6.0 / fan_in) ** 0.5 / omega)


def test_sine_layer_is_a_scaled_linear_map_and_a_sine(redraw):
    layer = redraw(SineLayer(D, M, omega=OMEGA)).double()
    x = points(N, D)
    W, b = (p.detach().numpy() for p in (layer.linear.weight, layer.linear.bias))
    np.testing.assert_allclose(layer(x).detach(), np.sin(OMEGA * (x.numpy() @ W.T + b)), atol=1e-12)


def test_siren_is_the_loop_over_neurons(redraw):
    model = small_siren(redraw, out=2)
    x = points(N, D)
    expected = np.stack([value_and_slope(model, p)[0] for p in x.numpy()])
    np.testing.assert_allclose(model(x).detach().numpy(), expected, atol=1e-12)


def test_parameters_of_a_siren_get_the_gradient_of_finite_differences(redraw):
    model = small_siren(redraw, out=2)
    x, probe = points(N, D), points(N, 2, seed=1)
    names = dict(model.named_parameters())

    def loss(*values):
        return (torch.func.functional_call(model, dict(zip(names, values, strict=True)), x) * probe).sum()

    assert torch.autograd.gradcheck(loss, tuple(names.values()))


def test_relu_and_fourier_baselines_are_their_formulas(redraw):
    relu = redraw(ReluField(D, HIDDEN, 2, 4)).double()
    x = points(N, D)
    h = x.numpy()
    affine = [m for m in relu.layers if hasattr(m, "weight")]
    for layer in affine:
        h = h @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        h = h if layer is affine[-1] else np.maximum(h, 0)
    np.testing.assert_allclose(relu(x).detach(), h, atol=1e-12)

    fourier = redraw(FourierFeatureField(D, HIDDEN, 2, 4, features=8)).double()
    waves = 2 * np.pi * x.numpy() @ fourier.B.numpy().T
    features = torch.from_numpy(np.concatenate([np.cos(waves), np.sin(waves)], axis=-1))
    torch.testing.assert_close(fourier(x), fourier.field(features))


# fields whose variables do not separate: a product of one-dimensional mistakes would pass on x² + y²
FIELDS = {
    "x³y + y²": lambda p: p[..., 0] ** 3 * p[..., 1] + p[..., 1] ** 2,
    "sin(xy) e^z": lambda p: torch.sin(p[..., 0] * p[..., 1]) * torch.exp(p[..., 2]),
    "|p|³ + xyz": lambda p: p.square().sum(-1) ** 1.5 + p.prod(-1),
}


def test_derivatives_of_a_polynomial_by_hand():
    x = points(N, 2).requires_grad_()
    y = FIELDS["x³y + y²"](x)
    a, b = x.detach().unbind(-1)
    torch.testing.assert_close(gradient(y, x), torch.stack([3 * a**2 * b, a**3 + 2 * b], dim=-1))
    torch.testing.assert_close(laplacian(y, x), (6 * a * b + 2)[:, None])
    # a value with and one without the last axis of length one are the same field
    torch.testing.assert_close(laplacian(y[:, None], x), (6 * a * b + 2)[:, None])


@pytest.mark.parametrize("name", FIELDS)
def test_derivatives_against_finite_differences_and_the_trace_of_the_hessian(name):
    f = FIELDS[name]
    x = points(N, D).requires_grad_()
    slope, bend = gradient(f(x), x), laplacian(f(x), x)
    still = x.detach()
    differences = torch.stack([central(f, still, i) for i in range(D)], dim=-1)
    torch.testing.assert_close(slope, differences, atol=1e-8, rtol=1e-7)
    hessians = torch.func.vmap(torch.func.hessian(f))(still)
    torch.testing.assert_close(bend[:, 0], torch.stack([h.trace() for h in hessians]))
    differences = sum(second(f, still, i) for i in range(D))
    torch.testing.assert_close(bend[:, 0], differences, atol=1e-6, rtol=1e-6)


def test_derivatives_of_a_siren(redraw):
    model = small_siren(redraw)
    x = points(N, D).requires_grad_()
    by_hand = np.stack([value_and_slope(model, p)[1][0] for p in x.detach().numpy()])
    np.testing.assert_allclose(gradient(model(x), x).detach(), by_hand, atol=1e-11)
    hessians = torch.func.vmap(torch.func.hessian(lambda p: model(p)[0]))(x.detach())
    torch.testing.assert_close(laplacian(model(x), x)[:, 0], torch.stack([h.trace() for h in hessians]))


def test_divergence_against_the_trace_of_the_jacobian():
    def field(p):
        return torch.stack([p.prod(-1), torch.sin(p[..., 0] + p[..., 1] ** 2), p[..., 2] ** 3 * p[..., 0]], -1)

    x = points(2, N, D).requires_grad_()
    jacobians = torch.func.vmap(torch.func.jacrev(field))(x.detach().flatten(0, 1))
    expected = torch.stack([j.trace() for j in jacobians]).view(2, N, 1)
    torch.testing.assert_close(divergence(field(x), x), expected)


def test_a_loss_on_second_derivatives_teaches_every_parameter(redraw):
    """A laplacian made without a graph would still have the right value, but no gradient."""
    model = small_siren(redraw, depth=2)
    x, wanted = points(N, D), points(N, 1, seed=2)
    names = dict(model.named_parameters())

    def loss(*values):
        tracked = x.clone().requires_grad_()
        y = torch.func.functional_call(model, dict(zip(names, values, strict=True)), tracked)
        return (laplacian(y, tracked) - wanted).square().mean()

    # the last bias shifts the field and so has no part in its laplacian
    assert torch.autograd.gradcheck(lambda *v: loss(*v, names["layers.2.bias"]), tuple(names.values())[:-1], atol=1e-4)


def test_poisson_loss_is_the_loop(redraw):
    model = small_siren(redraw)
    x, wanted = points(N, D), points(N, D, seed=3)
    total = 0.0
    for p, w in zip(x.numpy(), wanted.numpy(), strict=True):
        slope = value_and_slope(model, p)[1][0]
        total += sum((slope[k] - w[k]) ** 2 for k in range(D))
    assert poisson_loss(model, x, wanted).item() == pytest.approx(total / N)


def test_sdf_loss_is_the_loop(redraw):
    model = small_siren(redraw)
    on, normals, off = points(N, D), points(N, D, seed=4), points(M, D, seed=5)
    surface = normal = away = eikonal = 0.0
    for p, n in zip(on.numpy(), normals.numpy(), strict=True):
        value, slope = value_and_slope(model, p)
        surface += abs(value[0]) / N
        normal += (1 - slope[0] @ n / math.sqrt((slope[0] @ slope[0]) * (n @ n))) / N
        eikonal += abs(math.sqrt(slope[0] @ slope[0]) - 1) / (N + M)
    for p in off.numpy():
        value, slope = value_and_slope(model, p)
        away += math.exp(-100 * abs(value[0])) / M
        eikonal += abs(math.sqrt(slope[0] @ slope[0]) - 1) / (N + M)
    expected = 3000 * surface + 100 * normal + 100 * away + 50 * eikonal
    assert sdf_loss(model, on, normals, off).item() == pytest.approx(expected)


def test_sdf_loss_against_the_authors_formula_at_equal_numbers(redraw):
    """The authors mark points off the surface by a distance of -1 and average every term over all points."""
    model = small_siren(redraw)
    on, normals, off = points(N, D), points(N, D, seed=4), points(N, D, seed=6)
    x = torch.cat([on, off]).requires_grad_()
    all_normals = torch.cat([normals, torch.full_like(normals, -1)])
    is_on = torch.arange(2 * N) < N
    value = model(x)[:, 0]
    (slope,) = torch.autograd.grad(value.sum(), x)
    angle = torch.cosine_similarity(slope, all_normals, dim=-1)
    theirs = (
        3e3 * torch.where(is_on, value.abs(), 0).mean()
        + 1e2 * torch.where(is_on, 0, torch.exp(-1e2 * value.abs())).mean()
        + 1e2 * torch.where(is_on, 1 - angle, 0).mean()
        + 5e1 * (slope.norm(dim=-1) - 1).abs().mean()
    )
    ours = sdf_loss(model, on, normals, off, eikonal=100)
    torch.testing.assert_close(ours, 2 * theirs)


@pytest.mark.parametrize("loss", ["poisson", "sdf"])
def test_losses_give_parameters_the_gradient_of_finite_differences(redraw, loss):
    model = small_siren(redraw, depth=2)
    inputs = points(N, D), points(N, D, seed=7), points(M, D, seed=8)
    names = dict(model.named_parameters())

    def value(*values):
        def field(x):
            return torch.func.functional_call(model, dict(zip(names, values, strict=True)), x)

        return poisson_loss(field, *inputs[:2]) if loss == "poisson" else sdf_loss(field, *inputs)

    values = tuple(names.values())
    if loss == "poisson":  # which the last bias has no part in
        assert torch.autograd.gradcheck(lambda *v: value(*v, values[-1]), values[:-1])
    else:
        assert torch.autograd.gradcheck(value, values, atol=1e-3)


@pytest.mark.parametrize("data_range", [1.0, 2.0, 255.0])
def test_psnr_is_that_of_scikit_image(data_range):
    from skimage import metrics

    a, b = data_range * torch.rand(3, 5, dtype=torch.float64), data_range * torch.rand(3, 5, dtype=torch.float64)
    theirs = metrics.peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=data_range)
    assert psnr(a, b, data_range).item() == pytest.approx(theirs)


def test_psnr_of_half_precision_is_computed_in_single():
    a = torch.full((64, 64), 0.5, dtype=torch.bfloat16)
    b = a + torch.tensor(2**-6, dtype=torch.bfloat16)
    assert psnr(a, b).item() == pytest.approx(-20 * math.log10(2**-6), abs=1e-3)
