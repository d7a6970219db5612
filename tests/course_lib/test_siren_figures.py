"""What the chapter on fields draws and measures against: the continuous picture, the outlines, histograms, bands."""

import math

import matplotlib.pyplot as plt
import pytest
import torch

from course_lib.data.bird_shapes import SPECIES
from course_lib.data.continuous import ContinuousPicture
from course_lib.data.images import picture
from course_lib.data.outlines import bird_distance, bird_outline
from course_lib.figures.siren import distance_bands, grey, histograms, traces
from course_lib.siren import coordinate_grid


def test_picture_at_a_point_is_the_mean_of_its_surroundings_under_a_triangle():
    seen, stored = ContinuousPicture(64), picture("camera")[0]
    reach = 511 / 63
    row, column = 200, 317  # a stored pixel, far from the edges
    weight = (1 - (torch.arange(-8, 9).abs() / reach)).clamp_min(0)
    weight = weight[:, None] * weight
    expected = (weight * stored[row - 8 : row + 9, column - 8 : column + 9]).sum() / weight.sum()
    point = torch.tensor([[2 * row / 511 - 1, 2 * column / 511 - 1]])
    torch.testing.assert_close(seen(point)[0, 0], expected, atol=1e-4, rtol=0)


def test_grids_of_a_picture_agree_where_they_share_points_and_keep_leading_axes():
    seen = ContinuousPicture(17)
    fine = seen(coordinate_grid(33, 33)).view(33, 33)
    torch.testing.assert_close(seen(coordinate_grid(17, 17)).view(17, 17), fine[::2, ::2], atol=1e-5, rtol=0)
    assert seen(torch.zeros(2, 5, 2)).shape == (2, 5, 1)
    assert ContinuousPicture(9, "astronaut")(torch.zeros(4, 2)).shape == (4, 3)


def test_slope_of_a_picture_leads_from_point_to_point():
    seen = ContinuousPicture(32)
    here = (torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8).double()
    step = torch.tensor([0.004, -0.003]).double()
    predicted = (seen.slope(here) * step).sum(-1)
    really = (seen(here + step / 2) - seen(here - step / 2))[:, 0]
    assert torch.corrcoef(torch.stack([predicted, really]))[0, 1] > 0.98
    assert (predicted / really).median().item() == pytest.approx(1, abs=0.1)


def test_picture_refuses_grids_that_are_not_coarser_than_itself_and_slopes_of_colours():
    for side in (1, 513):
        with pytest.raises(ValueError, match="2 to 512"):
            ContinuousPicture(side)
    with pytest.raises(ValueError, match="colours"):
        ContinuousPicture(8, "astronaut").slope(torch.zeros(1, 2))


@pytest.mark.parametrize("species", SPECIES)
def test_outline_is_where_the_distance_vanishes_and_its_normals_lead_out(species):
    points, normals = bird_outline(species, 0.01)
    assert points.shape == normals.shape and points.abs().max() <= 1
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones(len(points)))
    assert bird_distance(species, points).abs().max() < 0.004
    # two outlines may run close to each other, as at the root of a leg: nearly all points must behave
    out, inside = (bird_distance(species, points + s * normals)[:, 0] for s in (0.01, -0.01))
    assert ((out - 0.01).abs() < 0.004).float().mean() > 0.9 and ((inside + 0.01).abs() < 0.004).float().mean() > 0.9


def test_distance_is_that_of_the_nearest_stroke_outside_and_grows_by_one_per_unit():
    # far from the bird the nearest disc or side decides; brute force over many discs along each stroke
    points = coordinate_grid(9, 9)
    t = torch.linspace(0, 1, 400)[:, None]
    nearest = torch.full((81,), math.inf)
    for strokes in SPECIES["heron"].values():
        for x0, y0, r0, x1, y1, r1 in strokes:
            centres = torch.cat([y0 + t * (y1 - y0), x0 + t * (x1 - x0)], 1)
            radii = r0 + t[:, 0] * (r1 - r0)
            nearest = torch.minimum(nearest, (torch.cdist(points, centres) - radii).amin(1))
    found = bird_distance("heron", points)[:, 0]
    outside = nearest > 0
    torch.testing.assert_close(found[outside], nearest[outside], atol=2e-3, rtol=0)
    assert (found[~outside] <= 0).all() and (~outside).any()


def test_outlines_refuse_what_they_do_not_know():
    with pytest.raises(ValueError, match="no species 'dodo'"):
        bird_outline("dodo")
    with pytest.raises(ValueError, match="positive"):
        bird_outline("owl", 0.0)


def test_histograms_are_described_and_count_what_is_within_reach(monkeypatch):
    before = plt.get_fignums()
    assert 'aria-label="what is drawn"' in histograms({"a": [torch.randn(9)] * 2}, alt="what is drawn", reach=2).html
    assert plt.get_fignums() == before
    monkeypatch.setattr("course_lib.figures.siren.Figure", lambda figure, alt: figure)
    figure = histograms({"a": [torch.tensor([-1.5, 0.2, 0.3, 7.0])]}, alt="a", reach=2.0, bins=4)
    assert list(figure.axes[0].patches[0].get_data().values) == [1, 0, 2, 0]
    plt.close(figure)


def test_traces_are_drawn_over_the_first(monkeypatch):
    monkeypatch.setattr("course_lib.figures.siren.Figure", lambda figure, alt: figure)
    lines = {"truth": ([0, 1], [2.0, 3.0]), "one": ([0, 1], [2.0, 2.5]), "two": ([0, 1], [0.0, 0.0])}
    figure = traces(lines, alt="a", xlabel="time", ylabel="pressure")
    drawn = figure.axes[0].lines
    assert [line.get_label() for line in drawn] == list(lines)
    assert [list(line.get_ydata()) for line in drawn] == [y for _, y in lines.values()]
    assert drawn[0].get_linewidth() > max(line.get_linewidth() for line in drawn[1:])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(lines)
    plt.close(figure)


def test_pictures_of_bytes_and_distances():
    assert torch.equal(grey(torch.tensor([[0, 255]]))[:, 0], torch.tensor([[0.0, 1.0]] * 3))
    bands = distance_bands(torch.tensor([[-0.55, -0.05, 0.0, 0.05, 0.15]]))
    assert bands.shape == (3, 1, 5) and bands[:, 0, 2].sum() == 0, "the outline is black"
    assert bands[2, 0, 0] > bands[0, 0, 0] and bands[0, 0, 3] > bands[2, 0, 3], "blue inside, orange outside"
    assert bands[0, 0, 4] < bands[0, 0, 3], "the next band is darker"
