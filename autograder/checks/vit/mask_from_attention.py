"""The check of ``mask_from_attention(map, keep=0.6) -> boolean mask``."""

import math
from fractions import Fraction

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("vit.mask_from_attention", objects=("mask_from_attention",))


def chosen(masses: list[float], keep: float) -> list[bool]:
    """Take the largest patch that is left, again and again, until the exact sum is enough."""
    exact = [Fraction(mass) for mass in masses]
    wanted, taken = Fraction(keep) * sum(exact), set()
    while sum(exact[i] for i in taken) < wanted:
        taken.add(max((i for i in range(len(exact)) if i not in taken), key=lambda i: (exact[i], -i)))
    return [i in taken for i in range(len(exact))]


def oracle(map: Tensor, keep: float = 0.6) -> Tensor:
    """Every map by itself, in exact fractions."""
    flat = map.reshape(-1, map.shape[-2] * map.shape[-1])
    return torch.tensor([chosen(row.tolist(), keep) for row in flat]).reshape(map.shape)


def masses(draw: Draw, n: int, keeps: tuple[float, ...]) -> Tensor:
    """n unequal positive masses, of which rounding does not decide how many hold one of the shares ``keeps``.

    The smallest is a good part of the mean: with it subtracted, as for a picture, fewer would be enough for 0.6.
    """
    while True:
        found = (0.15 + (-3 * draw.permutation(n) / n).exp()) * (0.05 * draw.normal(n, dtype=torch.float64)).exp()
        shares = found.sort(descending=True).values.cumsum(0)[:-1] / found.sum()
        if all(bool(((shares - keep).abs() > 1e-3).all()) for keep in keeps):
            return found


def positive(draw: Draw, *shape: int, keeps: tuple[float, ...] = (0.6,), dtype: torch.dtype = torch.float32) -> Tensor:
    """Maps of such masses."""
    maps = [masses(draw, shape[-2] * shape[-1], keeps) for _ in range(math.prod(shape[:-2]))]
    return torch.stack(maps).reshape(shape).to(dtype)


def sides(draw: Draw, count: int = 0, high: int = 7) -> list[int]:
    """``count`` sizes, then the smaller and the larger side of a map, at least 3: all different."""
    one, other, *others = draw.sizes(count + 2, 3, high)
    return [*others, min(one, other), max(one, other)]


@EXERCISE.case(points=1, cause="take patches from the largest down until they hold 0.6 of the map's sum.")
def one_map(draw: Draw, plan: Plan) -> None:
    """One map, keep as it is by default; higher than wide and wider than high"""
    short, long = sides(draw)
    for shape in ((long, short), (short, long)):
        map = positive(draw, *shape)
        plan.expect(plan.call(map), oracle(map), f"mask_from_attention of a {shape[0]}x{shape[1]} map")


@EXERCISE.case(points=1, cause="`keep` is a share of the map's sum, not of its patches nor of its largest value.")
def other_shares(draw: Draw, plan: Plan) -> None:
    """From a small share to all of it"""
    keeps = (draw.uniform(0.05, 0.15), draw.uniform(0.25, 0.45), draw.uniform(0.7, 0.95))
    map = positive(draw, *sides(draw), keeps=keeps)
    for keep in (*keeps, 1.0):
        plan.expect(plan.call(map, keep=keep), oracle(map, keep), f"mask_from_attention(map, keep={keep})")


@EXERCISE.case(points=1, cause="sort and sum over the last two axes together, for each image and head by itself.")
def many_maps(draw: Draw, plan: Plan) -> None:
    """Maps of several images and heads, each with another sum"""
    b, h, gh, gw = sides(draw, 2)
    for shape in ((b, h, gh, gw), (b, gw, gh)):
        map = positive(draw, *shape) * draw.permutation(b)[(..., *[None] * (len(shape) - 1))].add(0.5)
        plan.expect(plan.call(map), oracle(map), f"mask_from_attention of maps {list(shape)}")


@EXERCISE.case(points=1, cause="where the patches taken hold exactly the share, no further one is needed.")
def exactly_enough(draw: Draw, plan: Plan) -> None:
    """Whole numbers whose sums reach the share exactly, and patches of no mass"""
    numbers = torch.tensor([21.0, 18, 15, 13, 11, 9, 7, 5, 3, 1])
    # with the zero in front and the largest behind it, gathering by the order cannot give the scattered mask by luck
    map = torch.cat([torch.tensor([0.0, 25.0]), numbers[draw.permutation(10)]]).reshape(3, 4)
    for keep in (0.5, 1.0):
        plan.expect(plan.call(map, keep=keep), oracle(map, keep), f"mask_from_attention(map, keep={keep})")
    map = torch.tensor([16.0, 10, 9, 8, 7, 6, 5, 3])[draw.permutation(8)].reshape(4, 2)
    plan.expect(plan.call(map, keep=0.25), oracle(map, 0.25), "mask_from_attention(map, keep=0.25)")


@EXERCISE.case(
    points=1, cause="of equal patches take the first ones, row by row (stable=True), and only as many as needed."
)
def equal_patches(draw: Draw, plan: Plan) -> None:
    """Maps in which all patches, or many, have the same mass"""
    # few enough equal numbers may stay in order by luck, also in a sort that does not promise it
    gh, gw = (side + 4 for side in sides(draw))
    keep = round((draw.integer(gw + 1, gh * gw - 2) + 0.5) / (gh * gw), 4)
    uniform = torch.ones(gh, gw)
    plan.expect(plan.call(uniform, keep=keep), oracle(uniform, keep), f"the mask of a map of ones, keep={keep}")
    levels = torch.arange(gh * gw).remainder(3).add(1)[draw.permutation(gh * gw)].float().reshape(gw, gh)
    # half a unit away from whole numbers, so that no sum is exactly enough
    keep = (int(0.7 * levels.sum()) + 0.5) / levels.sum().item()
    plan.expect(plan.call(levels, keep=keep), oracle(levels, keep), f"the mask of masses 1, 2, 3, keep={keep:.4f}")


@EXERCISE.case(
    points=0.5, cause="what is selected is the fewest that hold the share: one peak is enough, of zeros none."
)
def peaks_and_zeros(draw: Draw, plan: Plan) -> None:
    """A map with one peak, one with a single patch that is not zero, and one of zeros, among others"""
    gh, gw = sides(draw)
    map = positive(draw, gh, gw).repeat(4, 1, 1)
    map[0] *= 1e-3
    map[0, draw.integer(0, gh - 1), draw.integer(0, gw - 1)] = draw.uniform(20, 30)
    map[1:3] = 0
    map[1, draw.integer(0, gh - 1), draw.integer(0, gw - 1)] = draw.uniform(0.1, 0.9)
    plan.expect(plan.call(map), oracle(map), "the masks (maps 0: a peak, 1: one patch, 2: zeros, 3: any)")


@EXERCISE.case(
    points=0.5,
    cause="the mask is boolean; the map is not written to, may need gradients and lie in any order in memory.",
)
def contract(draw: Draw, plan: Plan) -> None:
    """float64; maps that need gradients, or do not lie in order in memory; the map stays as it was"""
    b, gw, gh = sides(draw, 1)
    values = positive(draw, b, gh, gw, dtype=torch.float64)
    map = plan.put(values)
    plan.expect(plan.call(map), oracle(values), "the mask of a float64 map")
    plan.expect(map, values, "the map after the call")
    turned = plan.call(1, 2, on=plan.put(values), method="transpose")
    plan.expect(plan.call(turned), oracle(values.mT), "the mask of map.transpose(1, 2)")
    plan.expect(plan.call(plan.put(values, grad=True)), oracle(values), "the mask of a map that needs gradients")


@EXERCISE.variant
def by_sorting() -> None:
    """Sort downwards, cumulate, scatter"""

    def mask_from_attention(map, keep=0.6):
        flat = map.flatten(-2)
        mass, order = flat.sort(dim=-1, descending=True, stable=True)
        total = mass.sum(-1, keepdim=True)
        before = mass.cumsum(-1) - mass
        chosen = before < keep * total
        mask = torch.zeros_like(chosen).scatter(-1, order, chosen)
        return mask.reshape(map.shape)


@EXERCISE.variant
def from_the_smallest() -> None:
    """As in DINO's code: sort upwards, drop what holds the rest, gather by the inverse order"""

    def mask_from_attention(map, keep=0.6):
        flat = rearrange(map, "... gh gw -> ... (gh gw)").detach().double().flip(-1)
        mass, order = torch.sort(flat, dim=-1, stable=True)
        total = mass.sum(-1, keepdim=True)
        share = mass.cumsum(-1) / torch.where(total > 0, total, 1)
        back = order.argsort(-1)
        chosen = (share > 1 - keep + 1e-9).gather(-1, back).flip(-1)
        return rearrange(chosen, "... (gh gw) -> ... gh gw", gh=map.shape[-2])


@EXERCISE.variant
def one_after_the_other() -> None:
    """A Python loop over maps, which takes the largest patch that is left"""

    def mask_from_attention(map, keep=0.6):
        masks = []
        for row in map.detach().reshape(-1, map.shape[-2] * map.shape[-1]):
            left, mask, held = row.clone(), torch.zeros(len(row), dtype=torch.bool), 0.0
            while held < keep * row.sum().item() * (1 - 1e-6):
                largest = left.tolist().index(left.max().item())
                held += row[largest].item()
                left[largest] = -1
                mask[largest] = True
            masks.append(mask)
        return torch.stack(masks).reshape(map.shape)


@EXERCISE.variant
def by_comparing_all_pairs() -> None:
    """No sorting: for each patch the sum of those that come before it, by mass and then by place"""

    def mask_from_attention(map, keep=0.6):
        flat = map.flatten(-2)
        place = torch.arange(flat.shape[-1])
        larger = flat[..., None, :] > flat[..., :, None]
        sooner = (flat[..., None, :] == flat[..., :, None]) & (place[None, :] < place[:, None])
        before = torch.einsum("...ij,...j->...i", (larger | sooner).to(flat.dtype), flat)
        total = F.relu(flat).sum(-1, keepdim=True)
        return (before < keep * total * (1 - 1e-6)).unflatten(-1, map.shape[-2:])


SORT = "flat.sort(dim=-1, descending=True, stable=True)"
CHOSEN = "before < keep * total"
MASK = "torch.zeros_like(chosen).scatter(-1, order, chosen)"
RETURN = "return mask.reshape(map.shape)"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "share_of_the_largest",
        "Patches above keep times the largest value are selected. The selected ones are to hold the share `keep` of "
        "the sum: sort and cumulate.",
        [(MASK, "flat > keep * flat.amax(-1, keepdim=True)")],
    ),
    (
        "share_of_the_patches",
        "A share `keep` of the patches is selected, whatever they hold; count mass, not patches.",
        [(CHOSEN, "torch.arange(flat.shape[-1]).expand(flat.shape) < keep * flat.shape[-1]")],
    ),
    (
        "last_patch_left_out",
        "The patches taken stay below the share: the one that crosses it belongs to them. Compare the sum before each "
        "patch, cumsum - mass.",
        [(CHOSEN, "mass.cumsum(-1) <= keep * total")],
    ),
    (
        "one_patch_more",
        "Where the sum reaches the share exactly, one more patch is taken; the sum before it must be smaller, <.",
        [(CHOSEN, "before <= keep * total")],
    ),
    (
        "not_put_back",
        "The mask is that of the sorted patches; bring it back to their places, by scatter with the order.",
        [(MASK, "chosen")],
    ),
    (
        "put_back_the_wrong_way",
        "gather with the order sorts once more; the way back is scatter, or gather with order.argsort().",
        [(MASK, "chosen.gather(-1, order)")],
    ),
    (
        "smallest_first",
        "The patches are sorted upwards, so the smallest are taken first: descending=True.",
        [("descending=True", "descending=False")],
    ),
    (
        "turned_round",
        "The mask is False where it should be True: True marks the selected patches.",
        [(RETURN, "return ~mask.reshape(map.shape)")],
    ),
    (
        "keep_taken_for_the_rest",
        "The patches hold the share 1 - keep: `keep` is what is kept, not what is dropped.",
        [(CHOSEN, "before < (1 - keep) * total")],
    ),
    (
        "keep_ignored",
        "The argument `keep` is ignored: 0.6 is written into the formula.",
        [(CHOSEN, "before < 0.6 * total")],
    ),
    (
        "sum_taken_for_one",
        "The map is taken to sum to one. It does not: cls gives weight to itself too. Compare with keep times the sum.",
        [(CHOSEN, "before < keep")],
    ),
    (
        "one_sum_for_all_maps",
        "The sums are compared with that of all maps together; every map has its own sum.",
        [("mass.sum(-1, keepdim=True)", "mass.sum()")],
    ),
    (
        "heads_thrown_together",
        "flatten(1) throws the heads of an image together and takes each row of a single map apart; only the last two "
        "axes belong together.",
        [("map.flatten(-2)", "map.flatten(1)")],
    ),
    (
        "smallest_value_subtracted",
        "The map is stretched so that its smallest value is 0, as one does for a picture; this changes all shares.",
        [("map.flatten(-2)", "map.flatten(-2) - map.amin((-2, -1))[..., None]")],
    ),
    (
        "all_equal_ones",
        "All patches as large as the last one taken are selected: a threshold on the value takes more than the fewest "
        "where patches are equal.",
        [(MASK, "(flat >= mass.masked_fill(~chosen, torch.inf).amin(-1, keepdim=True))")],
    ),
    (
        "last_of_equal_ones",
        "Of equal patches the last ones are taken, as by sorting upwards; take the first ones, row by row.",
        [
            ("map.flatten(-2)", "map.flatten(-2).flip(-1)"),
            (RETURN, "return mask.flip(-1).reshape(map.shape)"),
        ],
    ),
    (
        "equal_ones_column_by_column",
        "Of equal patches those of the first columns are taken; they count row by row, as one reads.",
        [("map.flatten(-2)", "map.mT.flatten(-2)"), (RETURN, "return mask.reshape(map.mT.shape).mT")],
    ),
    (
        "always_one_selected",
        "At least one patch is always selected; a map of zeros holds nothing, and nothing is to be selected.",
        [(MASK, "torch.zeros_like(chosen).scatter(-1, order, chosen | (torch.arange(flat.shape[-1]) == 0))")],
    ),
    (
        "zeros_divided_by_zero",
        "A map of zeros is divided by its sum, and the NaN counts as selected; compare with keep times the sum.",
        [(CHOSEN, "~(before / total >= keep)")],
    ),
    (
        "numbers_returned",
        "The mask holds numbers, 0. and 1.; it must be boolean, so that it can index and be negated.",
        [(RETURN, "return mask.reshape(map.shape).to(map.dtype)")],
    ),
    (
        "masked_map_returned",
        "The map with zeros in it is returned; the mask itself is asked for.",
        [(RETURN, "return map * mask.reshape(map.shape)")],
    ),
    (
        "left_flat",
        "The mask is still flat, [... gh*gw]; give it the map's shape.",
        [(RETURN, "return mask")],
    ),
    (
        "scaled_in_place",
        "`map /= …` changes the caller's map; write `map = map / …`, or compare with keep times the sum.",
        [("flat = map.flatten(-2)", "map.detach().div_(map.sum((-2, -1), keepdim=True))\n    flat = map.flatten(-2)")],
    ),
    (
        "seen_as_flat",
        ".view refuses maps that do not lie in order in memory, such as transposed ones; .flatten copies if it must.",
        [("map.flatten(-2)", "map.view(*map.shape[:-2], -1)")],
    ),
    (
        "through_numpy",
        "numpy refuses a tensor that needs gradients; stay in torch, or detach first.",
        [("map.flatten(-2)", "torch.from_numpy(map.numpy()).flatten(-2)")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(by_sorting, name, says, *changes)
