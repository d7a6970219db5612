"""The generated bird scenes: same seed same scenes, and every stated fact is what the pixels show."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.data.bird_painter import BACKDROP
from course_lib.data.bird_questions import ANSWERS, QUESTIONS, answer, corner_bird
from course_lib.data.bird_shapes import SLOTS, stroke_table
from course_lib.data.birds import (
    BIRD_COLOURS,
    BIRD_PARTS,
    REGIONS,
    SKY_COLOURS,
    SPECIES,
    Scenes,
    make_pairs,
    make_scenes,
    repaint,
)

pytestmark = pytest.mark.usefixtures("one_thread")

TENSORS = [name for name, kind in Scenes.__annotations__.items() if name not in ("clouds", "ground")]
# large birds, so that every part covers whole pixels
LARGE = dict(size=96, birds=(1, 1), bird_size=(0.7, 0.8))

RECORDED = (4019569, 3851, -8555)


def same(a: Scenes, b: Scenes) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in TENSORS)


def dilated(mask: torch.Tensor, pixels: int) -> torch.Tensor:
    grown = torch.nn.functional.max_pool2d(mask.float()[:, None], 2 * pixels + 1, stride=1, padding=pixels)
    return grown[:, 0].bool()


def within_reach(scenes: Scenes) -> torch.Tensor:
    height, width = scenes.images.shape[-2:]
    rows, columns = torch.arange(height)[:, None] + 0.5, torch.arange(width) + 0.5
    row, column = (c[..., None, None] for c in scenes.centre.unbind(-1))
    reach = scenes.radius[..., None, None] + 1.5
    return (((rows - row) ** 2 + (columns - column) ** 2 < reach**2) & scenes.present[..., None, None]).any(1)


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return make_scenes(60, seed=5, size=(48, 64), birds=(0, 4))


def test_same_seed_same_scenes_and_the_global_generator_is_left_alone():
    state = torch.random.get_rng_state()
    first = make_scenes(9, seed=3)
    torch.rand(7)
    assert same(first, make_scenes(9, seed=3))
    assert not torch.equal(first.images, make_scenes(9, seed=4).images)
    pairs = make_pairs(5, seed=3, distance=0.5)
    torch.random.set_rng_state(state)
    assert same(pairs, make_pairs(5, seed=3, distance=0.5))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_scenes_are_those_of_every_machine():
    # recorded once: a checksum of eight-bit pixels and of the label maps
    batch = make_scenes(4, seed=2024, size=(40, 56), birds=(1, 3))
    levels = (batch.images * 255).round().long()
    assert (levels.sum().item(), batch.region.long().sum().item(), batch.instance.long().sum().item()) == RECORDED


def test_fewer_scenes_are_the_first_of_more():
    # 200 crosses the size of a painted chunk
    many = make_scenes(200, seed=11, size=24)
    assert same(make_scenes(150, seed=11, size=24), many[:150])
    assert same(make_pairs(3, seed=2, distance=0.6), make_pairs(8, seed=2, distance=0.6)[:3])


def test_finer_pixels_show_the_same_scene():
    coarse, fine = make_scenes(6, seed=1, size=32), make_scenes(6, seed=1, size=96)
    assert torch.allclose(fine.centre[fine.present] / 3, coarse.centre[coarse.present], atol=1e-4)
    assert torch.equal(fine.species, coarse.species)
    shrunk = torch.nn.functional.avg_pool2d(fine.images, 3)
    assert (shrunk - coarse.images).abs().mean() < 0.02


def test_images_are_eight_bit_pixels(scenes):
    assert scenes.images.shape == (60, 3, 48, 64) and scenes.images.dtype == torch.float32
    assert scenes.images.min() >= 0 and scenes.images.max() <= 1
    levels = scenes.images * 255
    assert (levels - levels.round()).abs().max() < 1e-4


def test_labels_partition_the_pixels(scenes):
    assert torch.equal(sum(scenes.mask(name).int() for name in REGIONS), torch.ones(60, 48, 64, dtype=torch.int32))
    birds = scenes.bird_masks()
    assert birds.shape == (60, 4, 48, 64) and birds.sum(1).max() <= 1
    assert torch.equal(birds.any(1), sum(scenes.mask(part).int() for part in BIRD_PARTS).bool())
    assert torch.equal(sum(scenes.bird_masks(part).int() for part in BIRD_PARTS).bool(), birds)
    assert torch.equal(birds.any((-1, -2)), scenes.present)


def test_only_birds_and_their_outline_differ_from_the_empty_scene(scenes):
    empty = repaint(scenes, species=torch.full_like(scenes.species, -1))
    assert (empty.instance == -1).all()
    changed = (empty.images != scenes.images).any(1)
    mask = scenes.bird_masks().any(1)
    # the outline is a fraction of a pixel wide here, and antialiasing adds one; thin tips may reach further,
    # but not beyond the disc that holds the bird
    near = dilated(mask, 2) | within_reach(scenes)
    assert not (changed & ~near).any()
    assert (changed & ~dilated(mask, 2)).sum() < 0.02 * mask.sum()
    # a bird may have the colour of what is behind it here and there, but not as a rule
    assert changed[mask].float().mean() > 0.99


@pytest.mark.parametrize("part", ["head", "body", "wing"])
def test_another_colour_changes_that_part_alone(part):
    scenes = make_scenes(20, seed=8, **LARGE)
    other = repaint(scenes, **{part: (getattr(scenes, part) + 1) % len(BIRD_COLOURS)})
    changed = (other.images != scenes.images).any(1)
    mask = scenes.mask(part) | (scenes.mask("tail") if part == "wing" else False)
    # antialiased edges lie up to a pixel outside the mask; a few pixels of tips and slits cover less than half
    stray = changed & ~dilated(mask, 1)
    assert stray.sum() < 0.005 * mask.sum()
    assert (other.images - scenes.images).abs().amax(1)[stray].sum() < 0.001 * mask.sum()
    # beneath eyes and outlines of other parts the colour does not show
    assert changed[mask].float().mean() > 0.6
    assert torch.equal(other.region, scenes.region)


@pytest.mark.parametrize("part", ["head", "body", "wing"])
def test_masks_show_the_named_colours(part):
    scenes = make_scenes(60, seed=9, **LARGE)
    palette = torch.tensor(list(BIRD_COLOURS.values()))
    for image, mask, colour in zip(scenes.images, scenes.mask(part), getattr(scenes, part)[:, 0], strict=True):
        pixels = image.permute(1, 2, 0)[mask]
        assert len(pixels) > 20
        nearest = torch.cdist(pixels, palette).argmin(1)
        assert nearest.mode().values == colour


def test_skies_show_the_named_colours(scenes):
    palette = torch.tensor(list(SKY_COLOURS.values()))
    for image, mask, sky in zip(scenes.images, scenes.mask("sky"), scenes.sky, strict=True):
        pixels = image[:, :16].permute(1, 2, 0)[mask[:16]]
        # outlines and the edges of clouds are mixtures, so not every pixel
        assert (torch.cdist(pixels, palette).argmin(1) == sky).float().mean() > 0.8


def test_birds_are_where_they_are_said_to_be(scenes):
    boxes = scenes.boxes()
    assert (boxes[~scenes.present] == -1).all()
    box, centre = boxes[scenes.present].float(), scenes.centre[scenes.present]
    radius = scenes.radius[scenes.present]
    assert (box[:, :2] >= 0).all() and (box[:, 2] <= 48).all() and (box[:, 3] <= 64).all()
    assert (centre - radius[:, None] - 1 <= box[:, :2]).all() and (box[:, 2:] <= centre + radius[:, None] + 1).all()
    for scene, slot in scenes.present.nonzero()[:12].tolist():
        top, left, bottom, right = boxes[scene, slot].tolist()
        mask = scenes.bird_masks()[scene, slot]
        assert mask[top:bottom, left:right].sum() == mask.sum()
        assert mask[top].any() and mask[bottom - 1].any() and mask[:, left].any() and mask[:, right - 1].any()


def test_strokes_stay_inside_the_unit_disc_and_fill_their_slots():
    table, slots = stroke_table()
    assert table.shape == (len(SPECIES), len(slots), 6)
    drawn = table[..., 2] > 0
    for ends in (table[..., 0:3], table[..., 3:6]):
        reach = ends[..., :2].norm(dim=-1) + ends[..., 2]
        assert reach[drawn].max() <= 1.0
    room = {slot: count for slot, _, count in SLOTS}
    for name, parts in SPECIES.items():
        for slot, strokes in parts.items():
            assert 0 < len(strokes) <= room[slot], (name, slot)


def test_species_are_told_apart_by_shape():
    silhouettes = []
    for name in SPECIES:
        one = make_scenes(1, seed=0, species=[name], **LARGE)
        flat = repaint(
            one, facing=torch.ones(1, 1), centre=torch.full((1, 1, 2), 48.0), radius=torch.full((1, 1), 30.0)
        )
        silhouettes.append(flat.bird_masks()[0, 0].flatten())
    masks = torch.stack(silhouettes).float()
    overlap = masks @ masks.T
    iou = overlap / (masks.sum(1)[:, None] + masks.sum(1) - overlap)
    assert iou.fill_diagonal_(0).max() < 0.75


def test_colours_are_drawn_independently_of_species_and_of_each_other():
    scenes = make_scenes(4000, seed=1, size=16, birds=(1, 1), clouds=False, ground=False)
    facts = [(scenes.species[:, 0], len(SPECIES)), (scenes.sky, len(SKY_COLOURS))]
    facts += [(getattr(scenes, part)[:, 0], len(BIRD_COLOURS)) for part in ("head", "body", "wing")]
    for i, (a, n) in enumerate(facts):
        for b, m in facts[:i]:
            table = torch.bincount(a * m + b, minlength=n * m).float()
            expected = 4000 / (n * m)
            chi2 = ((table - expected) ** 2 / expected).sum().item()
            freedom = n * m - 1
            assert chi2 < freedom + 5 * (2 * freedom) ** 0.5


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31), low=st.integers(0, 4), extra=st.integers(0, 5),
    height=st.integers(24, 50), width=st.integers(24, 50), largest=st.floats(0.2, 0.32),
)  # fmt: skip
def test_birds_never_touch_and_stay_inside(seed, low, extra, height, width, largest):
    scenes = make_scenes(5, seed=seed, size=(height, width), birds=(low, low + extra), bird_size=(0.2, largest))
    assert ((low <= scenes.count) & (scenes.count <= low + extra)).all()
    for centre, radius in zip(scenes.centre, scenes.radius, strict=True):
        centre, radius = centre[radius > 0], radius[radius > 0]
        assert (centre - radius[:, None] > -1e-3).all()
        assert (centre + radius[:, None] < torch.tensor([height, width]) + 1e-3).all()
        gaps = torch.cdist(centre, centre) - radius[:, None] - radius
        assert (gaps.fill_diagonal_(1) > -1e-3).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), distance=st.floats(0.33, 0.8), height=st.integers(32, 70), width=st.integers(32, 70))
def test_pairs_keep_their_distance(seed, distance, height, width):
    pairs = make_pairs(6, seed=seed, distance=distance, size=(height, width))
    top_right, bottom_left = pairs.centre.unbind(1)
    apart = (top_right - bottom_left).norm(dim=-1)
    assert torch.allclose(apart, torch.full((6,), distance * min(height, width)), rtol=1e-4)
    assert (top_right[:, 0] < bottom_left[:, 0]).all() and (top_right[:, 1] > bottom_left[:, 1]).all()
    assert (pairs.centre - pairs.radius[..., None] > -1e-3).all()
    assert (pairs.centre + pairs.radius[..., None] < torch.tensor([height, width]) + 1e-3).all()
    assert (corner_bird(pairs, "top right") == 0).all() and (corner_bird(pairs, "bottom left") == 1).all()


def test_pairs_are_balanced():
    pairs = make_pairs(6000, seed=4, distance=(0.35, 0.8), size=16, clouds=False, ground=False)
    alike = answer("same_species", pairs).bool()
    assert abs(alike.float().mean() - 0.5) < 0.03
    # a rule that looks at one bird alone learns nothing: each species is as frequent in either answer
    for slot in (0, 1):
        for answers in (alike, ~alike):
            shares = pairs.species[answers, slot].bincount(minlength=len(SPECIES)) / answers.sum()
            assert (shares - 1 / len(SPECIES)).abs().max() < 0.03


def test_answers_follow_from_the_facts(scenes):
    for name in QUESTIONS:
        asked = scenes[{"head": scenes.count == 1, "top_right_head": scenes.count > 0,
                        "same_species": scenes.count > 1}.get(name, slice(None))]  # fmt: skip
        given_answers = answer(name, asked)
        assert given_answers.shape == (len(asked),)
        assert given_answers.min() >= 0 and given_answers.max() < len(ANSWERS[name])
        for i, index in enumerate(given_answers.tolist()):
            word = ANSWERS[name][index]
            birds = [k for k in range(4) if asked.species[i, k] >= 0]
            by_corner = sorted(birds, key=lambda k: (asked.centre[i, k, 1] - asked.centre[i, k, 0]).item())
            if name == "count":
                assert word == str(len(birds))
            elif name == "sky":
                assert word == list(SKY_COLOURS)[asked.sky[i]]
            elif name == "same_species":
                assert word == ("yes" if asked.species[i, by_corner[0]] == asked.species[i, by_corner[-1]] else "no")
            else:
                assert word == list(BIRD_COLOURS)[asked.head[i, by_corner[-1]]]


def test_corner_birds_of_an_empty_scene(scenes):
    nobody = scenes.count == 0
    assert nobody.any()
    assert (corner_bird(scenes, "top right")[nobody] == -1).all()
    assert (corner_bird(scenes, "top right")[~nobody] >= 0).all()


def test_scenes_can_be_selected(scenes):
    for index in (slice(3, 7), scenes.count == 2, torch.tensor([5, 1])):
        part = scenes[index]
        assert isinstance(part, Scenes) and torch.equal(part.images, scenes.images[index])
        assert torch.equal(part.centre, scenes.centre[index])
    assert same(repaint(scenes[3:7]), scenes[3:7])


def test_clouds_and_ground_can_be_left_out():
    bare = make_scenes(30, seed=0, size=32, clouds=False, ground=False)
    full = make_scenes(30, seed=0, size=32)
    assert not bare.mask("cloud").any() and not bare.mask("ground").any()
    assert full.mask("cloud").any() and full.mask("ground").any((-1, -2)).all()
    assert torch.equal(bare.instance, full.instance)
    assert full.backdrop.shape == (30, BACKDROP)


def test_species_can_be_restricted():
    chosen = ["owl", "duck"]
    scenes = make_scenes(50, seed=0, size=16, species=chosen)
    names = {list(SPECIES)[i] for i in scenes.species[scenes.present].tolist()}
    assert names == set(chosen)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: make_scenes(0, seed=0), "at least one scene"),
        (lambda: make_scenes(1, seed=0, size=8), "below 16 pixels"),
        (lambda: make_scenes(1, seed=0, birds=(3, 2)), "fewest <= most"),
        (lambda: make_scenes(1, seed=0, birds=(1, 10)), "fit into a scene"),
        (lambda: make_scenes(1, seed=0, birds=(1, 5), bird_size=(0.4, 0.5)), "at most 4"),
        (lambda: make_scenes(1, seed=0, bird_size=(0.4, 0.3)), "smallest"),
        (lambda: make_scenes(1, seed=0, species=["owl", "dodo"]), "distinct names among"),
        (lambda: make_scenes(1, seed=0, species=["owl", "owl"]), "distinct names among"),
        (lambda: make_scenes(1, seed=0, species=[]), "distinct names among"),
        (lambda: make_pairs(1, seed=0, distance=0.2), "birds touch"),
        (lambda: make_pairs(1, seed=0, distance=(0.5, 0.95)), "largest that fits"),
        (lambda: make_pairs(1, seed=0, distance=0.5, species=["owl"]), "two species"),
        (lambda: answer("age", make_scenes(1, seed=0)), "No question is called 'age'"),
        (lambda: answer("head", make_scenes(2, seed=0, birds=(2, 2))), "exactly one bird"),
        (lambda: answer("same_species", make_scenes(2, seed=0, birds=(1, 1))), "at least 2 birds"),
        (lambda: answer("top_right_head", make_scenes(2, seed=0, birds=(0, 0))), "at least 1 bird "),
        (lambda: corner_bird(make_scenes(1, seed=0), "middle"), "'top right' or 'bottom left'"),
        (lambda: make_scenes(1, seed=0).mask("sea"), "No region is called 'sea'"),
        (lambda: make_scenes(1, seed=0).bird_masks("sky"), "No part of a bird is called 'sky'"),
    ],
)
def test_bad_arguments_get_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("name", ["images", "instance", "weather"])
def test_only_facts_can_be_repainted(name):
    with pytest.raises(TypeError, match=name):
        repaint(make_scenes(1, seed=0), **{name: torch.zeros(1)})
