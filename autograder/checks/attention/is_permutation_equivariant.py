"""The check of ``is_permutation_equivariant(f, x, tol=1e-5)``: a test that the student writes is itself tested."""

import math

import torch
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("attention.is_permutation_equivariant", objects=("is_permutation_equivariant",))
Ops = list[list[object]]


def square(draw: Draw, n: int) -> Tensor:
    """A random [n n] matrix whose products stay of order one."""
    return draw.normal(n, n) / math.sqrt(n)


def verdicts(draw: Draw, plan: Plan, wanted: list[tuple[bool, Ops, str]], x: Tensor) -> None:
    """Expect the student's test to say of each function whether it is equivariant."""
    for want, ops, name in wanted:
        plan.expect(plan.call(plan.function(*ops), x), want, f"f = {name}", strict=False)


@EXERCISE.case(points=1, cause="f(x[:, order]) must be compared with f(x)[:, order], within tol for rounding errors.")
def equivariant(draw: Draw, plan: Plan) -> None:
    """Functions that are equivariant: token by token, attention, minus the mean of the set"""
    b, n, d = draw.sizes(3, low=4, high=8)
    wanted = [
        (True, [["linear", square(draw, d)], ["tanh"]], "the same change to every token"),
        (True, [["attend", square(draw, d), square(draw, d)]], "self-attention"),
        (True, [["subtract_mean"], ["linear", square(draw, d)]], "each token minus the mean"),
        (True, [["mean_everywhere"]], "the mean, given to every token"),
    ]
    verdicts(draw, plan, wanted, draw.normal(b, n, d))


@EXERCISE.case(points=1, cause="a function that treats positions differently is not equivariant; try random orders.")
def position_dependent(draw: Draw, plan: Plan) -> None:
    """Functions that are not: a table of positions added, a fixed mixing matrix, a running sum"""
    b, n, d = draw.sizes(3, low=4, high=8)
    wanted = [
        (False, [["attend", square(draw, d), square(draw, d)], ["add", draw.normal(n, d)]], "attention plus positions"),
        (False, [["mix", square(draw, n)]], "a fixed mixing of the tokens"),
        (False, [["cumulative_sum"]], "a running sum over the tokens"),
    ]
    verdicts(draw, plan, wanted, draw.normal(b, n, d))


@EXERCISE.case(points=1, cause="reversing and rotating are only a few of the n! orders: draw random ones.")
def some_orders_only(draw: Draw, plan: Plan) -> None:
    """Functions that commute with rotations or reversal, or with swaps of a few tokens, but not with all orders"""
    b, n, d = draw.sizes(3, low=5, high=8)
    tail, head = torch.zeros(n, d), torch.zeros(n, d)
    tail[-1], head[0] = draw.normal(d), draw.normal(d)
    wanted = [
        (False, [["neighbours"]], "the sum of the two neighbours, in a ring"),
        (False, [["difference"]], "each token minus the one before, in a ring"),
        (False, [["add", tail]], "only the last token is changed"),
        (False, [["add", head]], "only the first token is changed"),
    ]
    verdicts(draw, plan, wanted, draw.normal(b, n, d))


@EXERCISE.case(points=1, cause="invariant is another property: an output that forgets the order does not follow it.")
def invariant(draw: Draw, plan: Plan) -> None:
    """Functions whose output forgets the order: sorted tokens, one mean for the set"""
    b, n, d = draw.sizes(3, low=4, high=8)
    wanted = [
        (False, [["sort"]], "every channel sorted"),
        (False, [["linear", square(draw, d)], ["mean"]], "the mean of the tokens, [b d]"),
    ]
    verdicts(draw, plan, wanted, draw.normal(b, n, d))


@EXERCISE.case(points=1, cause="the largest difference over all items, tokens and channels counts, against tol.")
def tolerance(draw: Draw, plan: Plan) -> None:
    """Small differences, in one place, against tol"""
    b, n, d = draw.sizes(3, low=4, high=8)
    x = draw.normal(b, n, d).tanh() / 4
    slight, single, one_item = torch.zeros(n, d), torch.zeros(n, d), torch.zeros(b, n, d)
    # neither the middle, which stays where it is in the reversed order, nor one of the first two
    slight[draw.integer((n + 1) // 2, n - 1)] = 1e-3
    single[draw.integer((n + 1) // 2, n - 1), draw.integer(0, d - 1)] = 0.05
    one_item[-1] = draw.normal(n, d)
    for table, tol, want, name in (
        (slight, 0.01, True, "one token changed by 0.001, tol=0.01"),
        (slight, 1e-5, False, "one token changed by 0.001, tol=1e-5"),
        (single, 0.01, False, "one number changed by 0.05, tol=0.01"),
        (one_item, 0.01, False, "only the last item of the batch changed"),
    ):
        plan.expect(plan.call(plan.function(["add", table]), x, tol=tol), want, f"f = {name}", strict=False)


@EXERCISE.case(points=1, cause="return bool(...), and reorder a copy: x[:, order] makes one, x[:] = … does not.")
def contract(draw: Draw, plan: Plan) -> None:
    """The answer is a Python bool, x stays as it was"""
    b, n, d = draw.sizes(3, low=6, high=10)
    values = draw.normal(b, n, d)
    for want, op, name in ((True, ["tanh"], "tanh"), (False, ["mix", square(draw, n)], "a fixed mixing of the tokens")):
        x = plan.put(values)
        plan.expect(plan.call(plan.function(op), x), want, f"f = {name}")
        plan.expect(x, values, "x after the call")


@EXERCISE.variant
def random_orders() -> None:
    """Several random orders"""

    def is_permutation_equivariant(f, x, tol=1e-5):
        before = f(x)
        if before.shape[:2] != x.shape[:2]:
            return False
        for _ in range(10):
            order = torch.randperm(x.shape[1])
            after = f(x[:, order])
            if (after - before[:, order]).abs().max() > tol:
                return False
        return True


@EXERCISE.variant
def all_neighbouring_swaps() -> None:
    """Every swap of two neighbours: together they make every order"""

    def is_permutation_equivariant(f, x, tol=1e-5):
        y = f(x)
        if y.ndim != x.ndim or y.shape[1] != x.shape[1]:
            return False
        ok = []
        for i in range(x.shape[1] - 1):
            order = list(range(x.shape[1]))
            order[i], order[i + 1] = order[i + 1], order[i]
            ok.append(torch.allclose(f(x[:, order, :]), y[:, order, :], rtol=0, atol=tol))
        return all(ok)


@EXERCISE.variant
def one_order_by_matrix() -> None:
    """Random permutation matrices applied from the left, and back again by the transpose"""

    def is_permutation_equivariant(f, x, tol=1e-5):
        n = x.shape[-2]
        for seed in range(5):
            p = torch.eye(n)[torch.randperm(n, generator=torch.Generator().manual_seed(seed))]
            left = f(p @ x)
            if left.shape[-2:-1] != (n,) or left.ndim != x.ndim:
                return False
            if not bool(torch.all((p.T @ left - f(x)).abs() <= tol)):
                return False
        return True


SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "invariance_tested",
        "f(x[:, order]) is compared with f(x): that tests invariance. Equivariant means the output is reordered too.",
        [("before[:, order])", "before)")],
    ),
    (
        "reordered_back",
        "The output is reordered by the inverse order, which is the same only for orders that undo themselves.",
        [("before[:, order])", "before[:, order.argsort()])")],
    ),
    (
        "only_reversed",
        "Only the reversed order is tried: a function may commute with that one and not with the others.",
        [("torch.randperm(x.shape[1])", "torch.arange(x.shape[1] - 1, -1, -1)")],
    ),
    (
        "only_rotated",
        "Only rotations are tried, and convolutions in a ring commute with them all.",
        [("torch.randperm(x.shape[1])", "torch.arange(x.shape[1]).roll(1 + _ % 3)")],
    ),
    (
        "only_first_two_swapped",
        "Only the first two tokens are swapped: what f does to the others is never looked at.",
        [("torch.randperm(x.shape[1])", "torch.tensor([1, 0, *range(2, x.shape[1])])")],
    ),
    (
        "batch_reordered",
        "The batch axis is reordered; tokens are axis 1 of [b n d].",
        [
            ("torch.randperm(x.shape[1])", "torch.randperm(x.shape[0])"),
            ("f(x[:, order])", "f(x[order])"),
            ("before[:, order])", "before[order])"),
        ],
    ),
    (
        "channels_reordered",
        "The channels are reordered; tokens are axis 1 of [b n d].",
        [
            ("torch.randperm(x.shape[1])", "torch.randperm(x.shape[-1])"),
            ("f(x[:, order])", "f(x[..., order])"),
            ("before[:, order])", "before[..., order])"),
        ],
    ),
    (
        "no_tolerance",
        "Exact equality fails for functions that are equivariant but for rounding; compare within tol.",
        [("(after - before[:, order]).abs().max() > tol", "not torch.equal(after, before[:, order])")],
    ),
    (
        "tolerance_ignored",
        "tol is ignored: the default tolerance of torch.allclose (or a number of your own) decides.",
        [("(after - before[:, order]).abs().max() > tol", "not torch.allclose(after, before[:, order], atol=1e-5)")],
    ),
    (
        "mean_difference",
        "The mean difference hides one that is large in a single place; the largest difference counts.",
        [(".abs().max() > tol", ".abs().mean() > tol")],
    ),
    (
        "first_item_only",
        "Only the first item of the batch is compared.",
        [("(after - before[:, order]).abs()", "(after - before[:, order])[0].abs()")],
    ),
    (
        "shape_not_looked_at",
        "An output of another shape makes the comparison fail with an error; say False for it.",
        [("    if before.shape[:2] != x.shape[:2]:\n        return False\n", "")],
    ),
    (
        "sums_compared",
        "Only the sums over the tokens are compared, and a sum does not see the order at all.",
        [("(after - before[:, order]).abs()", "(after - before[:, order]).sum(1).abs()")],
    ),
    (
        "tensor_returned",
        "The answer is a tensor that holds a truth value; return a Python bool, as in bool(...).",
        [
            ("return True", "return torch.tensor(True)"),
            ("> tol:\n            return False", "> tol:\n            return torch.tensor(False)"),
        ],
    ),
    (
        "reordered_in_place",
        "The caller's x is overwritten; x[:, order] already makes a reordered copy.",
        [("after = f(x[:, order])", "x[:] = x[:, order]\n        after = f(x)")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(random_orders, name, says, *changes)
