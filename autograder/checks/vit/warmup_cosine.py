"""The check of ``warmup_cosine(step, warmup, total, peak, floor=0.0) -> float``."""

import math

import torch

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("vit.warmup_cosine", objects=("warmup_cosine",))


def oracle(step: int, warmup: int, total: int, peak: float, floor: float = 0.0) -> float:
    """The rise as a sum of equal parts; the fall by the half-angle formula, floor + (peak - floor)·cos²(πt/2)."""
    if step < warmup:
        return math.fsum(peak / warmup for _ in range(step + 1))
    if step >= total:
        return floor
    # the two halves of the way add up to a right angle: its sine from the end is its cosine from the start
    left = (total - step) / (total - warmup)
    return floor + (peak - floor) * math.sin(left * math.pi / 2) ** 2


def expect(plan: Plan, steps: list[int], warmup: int, total: int, peak: float, floor: float | None = None) -> None:
    """Compare the learning rates of ``steps``; without ``floor`` the student's default is used."""
    low = {} if floor is None else {"floor": floor}
    for step in steps:
        told = f"warmup_cosine({step}, {warmup}, {total}, {peak}" + (f", floor={floor})" if low else ")")
        want = oracle(step, warmup, total, peak, **low)
        plan.expect(plan.call(step, warmup, total, peak, **low), want, told, strict=False)


@EXERCISE.case(points=1, cause="in warm-up the rate is peak·(step + 1)/warmup, so that no step is wasted at zero.")
def rise(draw: Draw, plan: Plan) -> None:
    """The warm-up: from the first step, which is 0, to the last"""
    warmup = draw.integer(5, 9)
    expect(plan, [0, 1, warmup - 2, warmup - 1], warmup, warmup + draw.integer(10, 20), draw.uniform(0.5, 2))


@EXERCISE.case(points=1.5, cause="t = (step - warmup)/(total - warmup), and the rate is peak·(1 + cos πt)/2.")
def fall(draw: Draw, plan: Plan) -> None:
    """After the warm-up, down to zero along half a cosine"""
    warmup = draw.integer(4, 8)
    span = draw.integer(11, 19)
    steps = [warmup, warmup + 1, *(warmup + i for i in sorted((draw.permutation(span - 4)[:3] + 2).tolist()))]
    expect(plan, [*steps, warmup + span - 1], warmup, warmup + span, draw.uniform(0.5, 2))


@EXERCISE.case(points=1, cause="the cosine runs from peak to floor: floor + (peak - floor)·(1 + cos πt)/2.")
def floors(draw: Draw, plan: Plan) -> None:
    """A floor above zero, which the warm-up does not know of"""
    warmup, floor = draw.integer(4, 8), draw.uniform(0.1, 0.3)
    total = warmup + draw.integer(11, 19)
    expect(plan, [0, warmup - 1, warmup, warmup + 3, total - 4, total - 1], warmup, total, draw.uniform(1, 2), floor)


@EXERCISE.case(points=1, cause="from step `total` on the rate is `floor`; the cosine must not come up again.")
def afterwards(draw: Draw, plan: Plan) -> None:
    """At the step `total` and long after it"""
    warmup = draw.integer(4, 8)
    span = draw.integer(9, 15)
    total, peak = warmup + span, draw.uniform(1, 2)
    for floor in (None, draw.uniform(0.1, 0.3)):
        expect(plan, [total, total + 1, total + span // 2, total + span, 5 * total], warmup, total, peak, floor)


@EXERCISE.case(points=1, cause="without warm-up step 0 has the peak, and nothing may be divided by zero.")
def no_warmup(draw: Draw, plan: Plan) -> None:
    """No warm-up; a warm-up of one step"""
    total, peak, floor = draw.integer(7, 12), draw.uniform(0.5, 2), draw.uniform(0.1, 0.3)
    for warmup in (0, 1):
        expect(plan, [0, 1, 2, total - 1, total], warmup, total, peak, floor)


@EXERCISE.case(points=0.5, cause="where warmup equals total there is no cosine, and nothing may be divided by zero.")
def nothing_but_warmup(draw: Draw, plan: Plan) -> None:
    """A warm-up that lasts as long as the training, and then the floor"""
    total = draw.integer(5, 9)
    steps = [0, total - 1, total, total + draw.integer(1, 4)]
    expect(plan, steps, total, total, draw.uniform(0.5, 2), draw.uniform(0.1, 0.3))


@EXERCISE.variant
def by_cases() -> None:
    """Three cases with an early return each"""

    def warmup_cosine(step, warmup, total, peak, floor=0.0):
        if step < warmup:
            return peak * (step + 1) / warmup
        if step >= total:
            return floor
        t = (step - warmup) / (total - warmup)
        return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * t))


@EXERCISE.variant
def by_half_angle() -> None:
    """A squared cosine of half the angle, with t held at 1"""

    def warmup_cosine(step, warmup, total, peak, floor=0.0):
        if step < warmup:
            return (step + 1) * (peak / warmup)
        t = min(1.0, (step - warmup) / max(1, total - warmup)) if total > warmup else 1.0
        share = math.cos(t * math.pi / 2) ** 2
        return share * peak + (1 - share) * floor


@EXERCISE.variant
def by_torch() -> None:
    """0-dimensional tensors, a clamp and a sine"""

    def warmup_cosine(step, warmup, total, peak, floor=0.0):
        if step < warmup:
            return torch.tensor(peak, dtype=torch.float64) * (step + 1) / warmup
        t = torch.tensor((step - warmup) / max(total - warmup, 1e-9), dtype=torch.float64).clamp(max=1)
        t = torch.where(torch.tensor(step < total), t, 1.0)
        return (peak + floor) / 2 - (peak - floor) / 2 * torch.sin(math.pi * (t - 0.5))


@EXERCISE.variant
def as_a_table() -> None:
    """The rates of all steps in a list, of which one is returned"""

    def warmup_cosine(step, warmup, total, peak, floor=0.0):
        rates = [peak * i / warmup for i in range(1, warmup + 1)]
        span = total - warmup
        rates += [floor + (peak - floor) * (1 + math.cos(math.pi * i / span)) / 2 for i in range(span)]
        return rates[step] if step < total else floor


RISE = "peak * (step + 1) / warmup"
END = "    if step >= total:\n        return floor\n"
T = "(step - warmup) / (total - warmup)"
COSINE = "floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * t))"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "first_step_at_zero",
        "The warm-up is peak·step/warmup, so the first step has rate 0 and teaches nothing; steps count from 0, "
        "use step + 1.",
        [(RISE, "peak * step / warmup")],
    ),
    (
        "one_step_too_many",
        "`step <= warmup` lets the warm-up run one step further, above the peak: it is over when step equals warmup.",
        [("step < warmup", "step <= warmup")],
    ),
    (
        "divided_by_one_more",
        "The warm-up is divided by warmup + 1, so its last step stays below the peak; step warmup - 1 has the peak.",
        [(RISE, "peak * (step + 1) / (warmup + 1)")],
    ),
    (
        "warmup_from_the_floor",
        "The warm-up begins at `floor`; it rises in proportion to step + 1, and the floor is where the cosine ends.",
        [(RISE, "floor + (peak - floor) * (step + 1) / warmup")],
    ),
    (
        "no_warmup_at_all",
        "There is no warm-up: the first steps have the peak. The rate must rise to it in `warmup` steps.",
        [(RISE, "peak")],
    ),
    (
        "cosine_from_step_zero",
        "The cosine is counted from step 0, t = step/total, so the rate jumps where the warm-up ends; count from "
        "there on.",
        [(T, "step / total")],
    ),
    (
        "span_includes_the_warmup",
        "The steps since the warm-up are divided by `total`; the cosine has total - warmup steps, and so never gets "
        "to its end.",
        [(T, "(step - warmup) / total")],
    ),
    (
        "total_counted_after_the_warmup",
        "`total` is taken as the number of steps after the warm-up; it counts all steps, the warm-up among them.",
        [(T, "(step - warmup) / total"), ("step >= total", "step >= total + warmup")],
    ),
    (
        "floor_one_step_early",
        "t is divided by total - warmup - 1, so the floor is reached at step total - 1; it is reached at step total.",
        [(T, "(step - warmup) / max(1, total - warmup - 1)")],
    ),
    (
        "cosine_one_step_ahead",
        "The cosine counts step + 1, like the warm-up; step `warmup` still has the full peak, t = 0.",
        [(T, "(step + 1 - warmup) / (total - warmup)")],
    ),
    (
        "comes_up_again",
        "After `total` the cosine rises again; hold the rate at `floor` there.",
        [(END, "    if warmup == total:\n        return floor\n")],
    ),
    (
        "nothing_after_the_end",
        "After `total` the rate is 0; it stays at `floor`.",
        [(END, "    if step >= total:\n        return 0.0\n")],
    ),
    (
        "floor_ignored",
        "`floor` is not used: the cosine goes down to zero.",
        [(COSINE, "peak * 0.5 * (1 + math.cos(math.pi * t))"), ("return floor\n", "return 0.0\n")],
    ),
    (
        "floor_added_on_top",
        "`floor` is added to a cosine that begins at peak, so the rate starts at peak + floor; scale the cosine by "
        "peak - floor.",
        [("(peak - floor)", "peak")],
    ),
    (
        "cut_off_at_the_floor",
        "The cosine goes down to zero and is cut off by max(floor, …), so the last steps all have the same rate; let "
        "it end at the floor: floor + (peak - floor)·…",
        [(COSINE, "max(floor, peak * 0.5 * (1 + math.cos(math.pi * t)))")],
    ),
    (
        "quarter_of_a_cosine",
        "cos(πt/2) is a quarter of a cosine wave, which comes down steeply to the end; half a wave, (1 + cos πt)/2, "
        "flattens out.",
        [("0.5 * (1 + math.cos(math.pi * t))", "math.cos(math.pi * t / 2)")],
    ),
    (
        "whole_wave",
        "cos 2πt is a whole wave: the rate is back at the peak in the end. It is cos πt.",
        [("math.pi * t", "2 * math.pi * t")],
    ),
    (
        "not_halved",
        "1 + cos πt begins at 2, so the rate starts at twice the peak; halve it.",
        [("0.5 * (1 +", "1.0 * (1 +")],
    ),
    (
        "straight_line",
        "The rate falls along a straight line; a cosine is asked for.",
        [("0.5 * (1 + math.cos(math.pi * t))", "(1 - t)")],
    ),
    (
        "degrees",
        "math.cos counts in radians: half a turn is π, not 180.",
        [("math.pi * t", "180 * t")],
    ),
    (
        "whole_number_division",
        "// divides whole numbers, so the rate stays at the peak until the end; use /.",
        [(T, "(step - warmup) // (total - warmup)")],
    ),
    (
        "divided_by_no_warmup",
        "(step + 1)/warmup is computed in every step, and without warm-up it divides by zero; do so only in warm-up.",
        [("    if step < warmup:", "    share = (step + 1) / warmup\n    if share <= 1:"), (RISE, "peak * share")],
    ),
    (
        "end_one_step_late",
        "The end is tested by `step > total`, so at step `total` t is still computed, and where warmup equals total "
        "that divides by zero; test by >=.",
        [("step >= total", "step > total")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(by_cases, name, says, *changes)
