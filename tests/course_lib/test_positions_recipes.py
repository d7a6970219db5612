"""The recipes of the positions chapter run as commands, and their shipped results support what the chapter says."""

import pytest
import torch
import torch.nn.functional as F
from shipping import shipped

from course_lib.attention import is_permutation_equivariant
from course_lib.recipes import localisation, positions

pytestmark = pytest.mark.usefixtures("one_thread")


def test_answers_are_those_of_a_loop():
    ids, answers = positions.draw(5, 17, torch.Generator().manual_seed(0))
    for row, told in zip(ids.tolist(), answers.tolist(), strict=True):
        for p in range(17):
            nearest = [t % 8 for t in row[: p + 1] if t >= 8]
            wanted = [row[p - 2] % 8 if p >= 2 else -100, nearest[-1] if nearest else -100, row[2] % 8]
            assert told[p] == wanted


def test_each_encoding_knows_what_the_chapter_says():
    result = shipped("positions")
    at, far = (result["lengths"].index(k * result["trained_length"]) for k in (1, 2))
    runs = {name: model["accuracy"] for name, model in result["models"].items()}
    for question in result["questions"]:
        for name in ("learned", "sinusoidal"):
            assert all(run[at] > max(r[at] for r in runs["none"][question]) + 0.25 for run in runs[name][question])
        assert all(run[far] is None for run in runs["learned"][question])
    assert min(run[far] for run in runs["rope"]["distance"]) > 0.95
    assert max(run[far] for run in runs["sinusoidal"]["distance"]) < 0.9
    assert max(run[far] for run in runs["stretched"]["place"]) < 0.3
    assert min(run[far] for run in runs["causal_alibi"]["order"]) > 0.95 > max(r[at] for r in runs["alibi"]["order"])


def test_no_positions_is_the_model_that_cannot_see_order():
    class Args:
        dim, depth, heads = 16, 1, 4

    embedded = torch.randn(2, 9, 16)
    for name in positions.MODELS:
        body = positions.build(name, 9, Args).body
        assert is_permutation_equivariant(body, embedded) == (name == "none")


def test_birds_stand_where_they_are_said_to_and_never_where_they_must_not():
    for where in localisation.PLACES:
        images, centres = localisation.draw(40, where, seed=5)
        half = localisation.SIZE / 2
        assert bool(((centres > half + 0.6).all(1)).any()) == (where == "elsewhere")
        # the bird is where the picture differs most from its grey ground, noise apart
        energy = F.avg_pool2d(images.square().sum(1, keepdim=True), 7, stride=1, padding=3)[:, 0].flatten(1)
        most = energy.argmax(1)
        found = torch.stack([most // localisation.SIZE, most % localisation.SIZE], 1) + 0.5
        assert ((found - centres).norm(dim=1) < 4).float().mean() > 0.9


def test_only_circular_borders_make_the_convolutions_equivariant():
    image, shift = torch.randn(1, 3, 24, 24, generator=torch.Generator().manual_seed(0)), torch.tensor([3, -5])
    for name in ("circular", "zeros", "coordinates"):
        net = localisation.Locator(name)
        after = localisation.roll(net.features(net.inputs(image)), shift)
        gap = (net.features(net.inputs(localisation.roll(image, shift))) - after).abs().max()
        assert (gap < 1e-5) == (name == "circular")


def test_shipped_errors_part_the_remedies():
    result = shipped("localisation")
    errors = {name: net["error_px"] for name, net in result["nets"].items()}
    middle = result["middle"]["error_px"]["seen"]
    assert min(errors["circular"]["seen"]) > 0.95 * middle
    for name in ("coordinates", "connected"):
        assert max(errors[name]["seen"]) < 0.25 * middle
    assert max(errors["coordinates"]["elsewhere"]) < 0.6 * min(errors["connected"]["elsewhere"])
