"""The SIREN room: what each part promises, and that trained fields do what they are made for."""

import math

import pytest
import torch
from drawing import LAWS, normal, sized
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import course_lib.siren as room
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
    redraw_as_first_paper,
    sdf_loss,
    sdf_terms,
    siren_bound,
    time_coordinates,
)


def test_the_room_has_every_exercise_under_its_name():
    names = "coordinate_grid siren_bound SineLayer Siren gradient laplacian poisson_loss sdf_loss psnr".split()
    assert all(callable(getattr(room, name)) for name in names)


# coordinates


def test_grid_lists_rows_first_and_reaches_the_corners(device):
    grid = coordinate_grid(2, 3, device=device)
    assert grid.tolist() == [[-1, -1], [-1, 0], [-1, 1], [1, -1], [1, 0], [1, 1]]
    assert (grid.device.type, grid.dtype) == (device.type, torch.float32)


@LAWS
@given(st.integers(1, 9), st.integers(1, 9))
def test_grid_fits_the_pixels_of_a_flattened_image(h, w):
    grid = coordinate_grid(h, w, dtype=torch.float64).view(h, w, 2)
    assert torch.equal(grid[..., 0], grid[:, :1, 0].expand(h, w))
    assert torch.equal(grid[..., 1], grid[:1, :, 1].expand(h, w))
    # turned by half a circle, the square of coordinates is the same
    torch.testing.assert_close(grid.flip(0, 1), -grid)


def test_a_finer_grid_has_the_points_of_the_coarse_one():
    coarse, fine = coordinate_grid(3, 4).view(3, 4, 2), coordinate_grid(5, 7).view(5, 7, 2)
    torch.testing.assert_close(fine[::2, ::2], coarse)


def test_coordinates_of_no_points_are_refused():
    with pytest.raises(ValueError, match="at least one point"):
        coordinate_grid(0, 3)
    with pytest.raises(ValueError, match="at least one point"):
        time_coordinates(0)


def test_times_run_from_first_to_last_sample():
    assert time_coordinates(5).tolist() == [[-1], [-0.5], [0], [0.5], [1]]


# initialisation


@pytest.mark.parametrize("wrong", [(0, 30.0), (3, 0.0), (3, -1.0), (3, math.nan)])
def test_bound_refuses_what_is_not_positive(wrong):
    with pytest.raises(ValueError, match="must be positive"):
        siren_bound(*wrong, first=False)


@pytest.mark.parametrize("first", [True, False])
def test_weights_fill_their_interval_evenly(first):
    torch.manual_seed(0)
    layer = SineLayer(50, 4000, omega=20.0, first=first)
    bound = 1 / 50 if first else math.sqrt(6 / 50) / 20
    weights = layer.linear.weight.detach() / bound
    assert 0.999 < weights.abs().max() <= 1 + 1e-6
    assert weights.mean().abs() < 0.01
    # equal shares in each tenth of the interval, as a normal distribution would not have
    shares = torch.histc(weights, 10, -1.001, 1.001) / weights.numel()
    torch.testing.assert_close(shares, torch.full((10,), 0.1), atol=0.003, rtol=0)


def test_arguments_of_the_sine_keep_their_spread_through_depth():
    torch.manual_seed(1)
    hidden, omega = 1024, 30.0
    model = Siren(2, hidden, 6, 1, omega=omega)
    x = torch.rand(500, 2) * 2 - 1
    # W x has variance 1 by design; the bias, uniform in ±1/√hidden and times omega, adds its own
    expected = math.sqrt(1 + omega**2 / (3 * hidden))
    for layer in model.layers[:-1]:
        if layer is not model.layers[0]:
            assert layer.argument(x).std().item() == pytest.approx(expected, rel=0.05)
            without = layer.argument(x) - omega * layer.linear.bias
            assert without.std().item() == pytest.approx(1, rel=0.05)
        x = layer(x)
        # arcsine distribution: variance one half, most values near ±1
        assert x.std().item() == pytest.approx(math.sqrt(0.5), rel=0.06)


def test_last_layer_is_linear_and_drawn_for_sines():
    torch.manual_seed(2)
    model = Siren(2, 600, 2, 7, omega=12.0)
    last = model.layers[-1]
    assert type(last) is nn.Linear
    assert last.weight.abs().max().item() == pytest.approx(math.sqrt(6 / 600) / 12, rel=0.01)


def test_first_omega_concerns_the_first_layer_alone():
    model = Siren(1, 5, 3, 1, omega=30.0, first_omega=3000.0)
    assert [layer.omega for layer in model.layers[:-1]] == [3000.0, 30.0, 30.0]
    torch.manual_seed(3)
    fast = Siren(1, 5, 3, 1, first_omega=3000.0)
    torch.manual_seed(3)
    slow = Siren(1, 5, 3, 1)
    for a, b in zip(fast.parameters(), slow.parameters(), strict=True):
        assert torch.equal(a, b)


def test_first_paper_starts_with_higher_frequencies_than_the_official_code():
    official = Siren(2, 2000, 3, 1)
    paper = redraw_as_first_paper(Siren(2, 2000, 3, 1), torch.Generator().manual_seed(4))
    ratio = paper.layers[0].linear.weight.std() / official.layers[0].linear.weight.std()
    assert ratio.item() == pytest.approx(math.sqrt(6 * 2), rel=0.05)
    ratio = paper.layers[1].linear.weight.std() / official.layers[1].linear.weight.std()
    assert ratio.item() == pytest.approx(1, rel=0.01)
    # its biases are added to the argument as they are, not thirtyfold
    at_origin = paper.layers[0].argument(torch.zeros(1, 2))
    assert at_origin.abs().max().item() == pytest.approx(1 / math.sqrt(2), rel=0.01)


def test_first_paper_draws_from_the_generator_given():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    model = Siren(2, 6, 3, 1)
    torch.set_rng_state(before)
    first = redraw_as_first_paper(model, torch.Generator().manual_seed(6)).layers[1].linear.weight.clone()
    again = redraw_as_first_paper(model, torch.Generator().manual_seed(6)).layers[1].linear.weight
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)


# modules


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(
    "make",
    [
        lambda: Siren(3, 8, 2, 5),
        lambda: ReluField(3, 8, 2, 5),
        lambda: FourierFeatureField(3, 8, 2, 5, features=6),
        lambda: SineLayer(3, 5),
    ],
)
def test_fields_follow_device_and_dtype_and_keep_leading_axes(device, dtype, make):
    field = make().to(device, dtype)
    out = field(torch.rand(2, 7, 3, device=device).to(dtype))
    assert (out.shape, out.dtype, out.device.type) == ((2, 7, 5), dtype, device.type)


def test_every_layer_of_a_siren_learns(redraw):
    model = redraw(Siren(2, 6, 4, 3)).double()
    model(torch.rand(5, 2, dtype=torch.float64)).sum().backward()
    assert len(list(model.parameters())) == 10
    assert all(p.grad.abs().max() > 0 for p in model.parameters())


def test_waves_of_fourier_features_are_fixed_saved_and_drawn_by_scale():
    field = FourierFeatureField(2, 8, 2, 1, features=4000, scale=3.0, generator=torch.Generator().manual_seed(0))
    assert "B" in field.state_dict() and "B" not in dict(field.named_parameters())
    assert field.B.std().item() == pytest.approx(3, rel=0.03)
    again = FourierFeatureField(2, 8, 2, 1, features=4000, scale=3.0, generator=torch.Generator().manual_seed(0))
    assert torch.equal(field.B, again.B)


@pytest.mark.parametrize("make", [lambda: Siren(2, 4, 0, 1), lambda: ReluField(2, 4, 0, 1)])
def test_a_field_has_at_least_one_hidden_layer(make):
    with pytest.raises(ValueError, match="at least one"):
        make()
    with pytest.raises(ValueError, match="At least one wave"):
        FourierFeatureField(2, 4, 1, 1, features=0)


# derivatives


@LAWS
@given(sized("n", "d"))
def test_divergence_of_gradient_is_laplacian(drawn):
    generator, n, d = drawn
    x = normal(generator, n, d).requires_grad_()
    mix = normal(generator, d, d)
    y = torch.sin(x @ mix).prod(-1, keepdim=True) + (x**3).sum(-1, keepdim=True)
    torch.testing.assert_close(divergence(gradient(y, x), x), laplacian(y, x))
    assert laplacian(y, x).shape == (n, 1)


@LAWS
@given(sized("n"))
def test_a_rotation_of_space_leaves_the_laplacian(drawn):
    generator, n = drawn
    turn = torch.linalg.qr(normal(generator, 3, 3))[0]

    def field(p):
        return torch.exp(p[..., :1]) * p[..., 1:2] ** 2 + torch.sin(p[..., 1:2] * p[..., 2:])

    x = normal(generator, n, 3).requires_grad_()
    turned = (x.detach() @ turn).requires_grad_()
    torch.testing.assert_close(laplacian(field(x @ turn), x), laplacian(field(turned), turned))


def test_divergence_counts_each_component_along_its_own_axis_only():
    x = torch.tensor([[2.0, 3.0], [-1.0, 5.0]], dtype=torch.float64, requires_grad=True)
    # ∂(x²y)/∂x + ∂(x y³)/∂y = 2xy + 3xy²
    field = torch.stack([x[:, 0] ** 2 * x[:, 1], x[:, 0] * x[:, 1] ** 3], dim=-1)
    assert divergence(field, x).tolist() == [[2 * 2 * 3 + 3 * 2 * 9], [2 * -1 * 5 + 3 * -1 * 25]]


def test_what_bends_nowhere_has_no_laplacian():
    x = torch.rand(4, 3, requires_grad=True)
    weight = torch.rand(3, 1, requires_grad=True)
    assert laplacian(x @ weight, x).tolist() == [[0.0]] * 4
    assert laplacian(x.sum(-1), x).tolist() == [[0.0]] * 4
    relu = ReluField(3, 9, 2, 1)
    assert laplacian(relu(x), x).abs().max() == 0
    assert divergence(torch.ones(4, 3), x).tolist() == [[0.0]] * 4


def test_derivatives_work_without_gradient_mode_and_leave_no_trace():
    model = Siren(2, 8, 2, 1)
    x = torch.rand(5, 2, requires_grad=True)
    y = model(x)
    with torch.no_grad():
        inside = laplacian(y, x)
    torch.testing.assert_close(inside, laplacian(y, x))
    assert x.grad is None and all(p.grad is None for p in model.parameters())


def test_derivatives_say_what_was_forgotten():
    model = Siren(2, 8, 2, 3)
    x = torch.rand(5, 2)
    with torch.no_grad():
        constant = model(x)[:, :1]
    with pytest.raises(ValueError, match="requires_grad_"):
        gradient(constant, x)
    tracked = x.clone().requires_grad_()
    with pytest.raises(ValueError, match="one value a point"):
        gradient(model(tracked), tracked)
    with pytest.raises(ValueError, match="not computed from this x"):
        gradient(model(tracked)[:, :1], x.clone().requires_grad_())
    with pytest.raises(ValueError, match="no divergence"):
        divergence(model(tracked), tracked)
    with pytest.raises(ValueError, match="requires_grad_"):
        divergence(x, x)


# losses


@pytest.mark.parametrize("loss", ["poisson", "sdf"])
def test_losses_leave_their_inputs_alone_and_teach_the_model(device, loss):
    model = Siren(3, 8, 2, 1).to(device)
    points = [torch.rand(n, 3, device=device) for n in (5, 5, 7)]
    before = [t.clone() for t in points]
    value = poisson_loss(model, *points[:2]) if loss == "poisson" else sdf_loss(model, *points)
    value.backward()
    assert value.shape == () and value.device.type == device.type
    for now, then in zip(points, before, strict=True):
        assert torch.equal(now, then) and not now.requires_grad and now.grad is None
    assert all(p.grad.abs().max() > 0 for p in list(model.parameters())[:-1])


def test_losses_can_be_evaluated_without_gradient_mode():
    model = Siren(2, 8, 2, 1)
    points = [torch.rand(n, 2) for n in (5, 5, 7)]
    with torch.no_grad():
        values = poisson_loss(model, *points[:2]), sdf_loss(model, *points)
    assert not any(v.requires_grad for v in values)
    torch.testing.assert_close(values[0], poisson_loss(model, *points[:2]))
    torch.testing.assert_close(values[1], sdf_loss(model, *points))


def test_coordinates_that_are_learned_get_their_gradient():
    model = Siren(2, 8, 2, 1).double()
    coords = torch.rand(3, 2, dtype=torch.float64, requires_grad=True)
    target = torch.rand(3, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: poisson_loss(model, x, target), coords)


def test_a_perfect_distance_costs_nothing_but_the_off_term():
    def sphere(x):
        return torch.linalg.vector_norm(x, dim=-1, keepdim=True) - 0.5

    directions = torch.nn.functional.normalize(torch.randn(9, 3, dtype=torch.float64), dim=-1)
    off = directions[:4] * torch.tensor([[0.1], [0.4], [0.9], [2.0]], dtype=torch.float64)
    # normals of any length: only their direction counts
    terms = sdf_terms(sphere, directions / 2, 7 * directions, off)
    nearest = sum(math.exp(-100 * abs(r - 0.5)) for r in (0.1, 0.4, 0.9, 2.0)) / 4
    for name, value in {"surface": 0, "normal": 0, "eikonal": 0, "off": nearest}.items():
        assert terms[name].item() == pytest.approx(value, abs=1e-12), name


def test_each_term_sees_the_mistake_it_is_for():
    on = torch.nn.functional.normalize(torch.randn(6, 3), dim=-1)
    off = torch.rand(8, 3) + 1

    def terms(field):
        return sdf_terms(field, on, on, off)

    def distance(x):
        return torch.linalg.vector_norm(x, dim=-1, keepdim=True) - 1

    assert terms(lambda x: distance(x) + 0.25)["surface"].item() == pytest.approx(0.25, abs=1e-6)
    assert terms(lambda x: -distance(x))["normal"].item() == pytest.approx(2, abs=1e-6)
    assert terms(lambda x: 3 * distance(x))["eikonal"].item() == pytest.approx(2, abs=1e-5)
    assert terms(lambda x: 0 * distance(x))["off"].item() == pytest.approx(1)


def test_a_constant_field_has_finite_gradients():
    model = Siren(2, 8, 2, 1)
    with torch.no_grad():
        model.layers[-1].weight.zero_()
    sdf_loss(model, torch.rand(4, 2), torch.rand(4, 2), torch.rand(5, 2)).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_weights_of_the_loss_are_those_published_and_can_be_set():
    model = Siren(2, 8, 2, 1).double()
    points = [torch.rand(n, 2, dtype=torch.float64) for n in (4, 4, 6)]
    t = {k: v.item() for k, v in sdf_terms(model, *points).items()}
    published = 3000 * t["surface"] + 100 * t["normal"] + 100 * t["off"] + 50 * t["eikonal"]
    assert sdf_loss(model, *points).item() == pytest.approx(published)
    ours = sdf_loss(model, *points, surface=2, normal=3, off=5, eikonal=7).item()
    assert ours == pytest.approx(2 * t["surface"] + 3 * t["normal"] + 5 * t["off"] + 7 * t["eikonal"])


def test_losses_refuse_shapes_that_do_not_fit():
    model = Siren(2, 8, 2, 1)
    with pytest.raises(ValueError, match="must agree"):
        poisson_loss(model, torch.rand(5, 2), torch.rand(5, 1))
    with pytest.raises(ValueError, match="do not fit"):
        sdf_loss(model, torch.rand(5, 2), torch.rand(4, 2), torch.rand(3, 2))
    with pytest.raises(ValueError, match="do not fit"):
        sdf_loss(model, torch.rand(5, 2), torch.rand(5, 2), torch.rand(3, 3))


# psnr


def test_psnr_of_known_errors(device):
    a = torch.zeros(3, 4, device=device)
    assert psnr(a, a + 0.1).item() == pytest.approx(20, abs=1e-4)
    assert psnr(a, a + 0.1, data_range=2.0).item() == pytest.approx(20 + 20 * math.log10(2), abs=1e-4)
    assert psnr(a, a).item() == math.inf


def test_psnr_of_bytes_does_not_wrap_around():
    a, b = torch.tensor([[10, 250]], dtype=torch.uint8), torch.tensor([[20, 240]], dtype=torch.uint8)
    assert psnr(a, b, data_range=255).item() == pytest.approx(10 * math.log10(255**2 / 100))
    assert psnr(b, a, data_range=255).item() == psnr(a, b, data_range=255).item()


def test_psnr_refuses_to_broadcast():
    with pytest.raises(ValueError, match="one shape"):
        psnr(torch.zeros(4, 1), torch.zeros(4))
    with pytest.raises(ValueError, match="data_range"):
        psnr(torch.zeros(4), torch.zeros(4), data_range=0)


# what fields are for


def train(model: nn.Module, loss, steps: int, rate: float) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(model).backward()
        optimiser.step()


def test_siren_fits_fine_detail_that_relu_misses():
    torch.manual_seed(0)
    x = coordinate_grid(20, 24)
    image = torch.sin(25 * x[:, :1] * x[:, 1:]) * torch.cos(18 * x[:, 1:])
    reached = {}
    for name, model in {"siren": Siren(2, 64, 3, 1), "relu": ReluField(2, 64, 3, 1)}.items():
        train(model, lambda m: (m(x) - image).square().mean(), steps=150, rate=1e-3)
        reached[name] = psnr(model(x), image, data_range=2.0).item()
    assert reached["siren"] > 30 and reached["siren"] > reached["relu"] + 8


def test_an_image_comes_back_from_its_gradients_alone():
    torch.manual_seed(0)
    x = coordinate_grid(16, 18).requires_grad_()
    image = torch.exp(-4 * (x[:, :1] ** 2 + 0.5 * x[:, 1:] ** 2)) * torch.sin(4 * x[:, 1:])
    wanted = gradient(image, x).detach()
    coords = x.detach()
    model = Siren(2, 48, 2, 1, omega=10.0)
    train(model, lambda m: poisson_loss(m, coords, wanted), steps=200, rate=1e-3)
    found = model(coords).detach()
    # gradients say nothing of the mean
    found = found - found.mean() + image.detach().mean()
    assert psnr(found, image.detach(), data_range=2.0) > 35


def test_a_circle_becomes_a_signed_distance():
    torch.manual_seed(0)
    angle = torch.rand(128) * 2 * math.pi
    normals = torch.stack([angle.sin(), angle.cos()], dim=-1)
    model = Siren(2, 48, 2, 1, omega=3.0)
    train(model, lambda m: sdf_loss(m, 0.5 * normals, normals, torch.rand(128, 2) * 2 - 1), 250, 2e-3)
    test = torch.rand(500, 2) * 2 - 1
    found, true = model(test).squeeze(-1), torch.linalg.vector_norm(test, dim=-1) - 0.5
    assert (found.sign() == true.sign()).float().mean() > 0.95
    # a field of zeros would be 0.3 off on average
    assert (found - true).abs().mean() < 0.08
