"""Judging how new weights are drawn, although every right answer draws other ones."""

from __future__ import annotations

import torch

from autograder.program import Plan
from autograder.wire import Ref


def expect_uniform(plan: Plan, weight: Ref, bound: float, what: str) -> None:
    """A new weight of tens of thousands of entries fills the interval from -bound to bound, evenly.

    Everything read is rounded so far that chance has no say in it: by 0.01 the largest entry, by 0.1 the shares.
    """
    size = plan.call(on=weight, method="abs")
    largest = plan.call(on=size, method="max")
    in_bounds = plan.call(decimals=2, on=plan.call(bound, on=largest, method="div"), method="round")
    plan.expect(in_bounds, torch.tensor(1.0), f"{what}: its largest entry over siren_bound", strict=False)
    for whole, share in ((size, 0.5), (weight, 0.0)):
        below = plan.call(on=plan.call(share * bound, on=whole, method="lt"), method="float")
        rounded = plan.call(decimals=1, on=plan.call(on=below, method="mean"), method="round")
        kind = "closer to 0 than half of siren_bound" if share else "below 0"
        plan.expect(rounded, torch.tensor(0.5), f"{what}: the share of its entries {kind}", strict=False)
