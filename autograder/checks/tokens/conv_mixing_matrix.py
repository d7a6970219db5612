"""The check of ``conv_mixing_matrix(n, kernel, stride=1)``."""

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("tokens.conv_mixing_matrix", objects=("conv_mixing_matrix",))


def oracle(n: int, kernel: Tensor, stride: int = 1) -> Tensor:
    """torch's convolution of every unit vector in float64: its answers are the columns of the matrix."""
    units = torch.eye(n, dtype=torch.float64)[:, None]
    answers = F.conv1d(units, kernel.double()[None, None], stride=stride, padding=len(kernel) // 2)
    return answers[:, 0].T.to(kernel.dtype)


def expect(plan: Plan, n: int, kernel: Tensor, stride: int) -> None:
    what = f"conv_mixing_matrix({n}, a kernel of {len(kernel)}, stride={stride})"
    plan.expect(plan.call(n, kernel, stride=stride), oracle(n, kernel, stride), what)


@EXERCISE.case(points=1, cause="entry [i, j] is the weight that meets token j when the kernel's middle is on token i.")
def odd_kernel(draw: Draw, plan: Plan) -> None:
    """Odd kernels and the default stride: as many tokens as before"""
    for k in (3, 5):
        n = draw.integer(6, 9)
        kernel = draw.normal(k)
        plan.expect(plan.call(n, kernel), oracle(n, kernel), f"conv_mixing_matrix({n}, a kernel of {k})")


@EXERCISE.case(
    points=1.5, cause="row i has its window `stride` tokens further than row i - 1, and the first begins at -(k // 2)."
)
def strides(draw: Draw, plan: Plan) -> None:
    """Strides that divide n and strides that do not, up to one longer than the kernel"""
    start = draw.integer(0, 2)
    for k, stride, n in ((3, 2, 8 + 2 * start), (3, 2, 7 + 2 * start), (5, 3, 10 + start), (3, 4, 9 + start)):
        expect(plan, n, draw.normal(k), stride)
    plan.expect(plan.call(9, kernel := draw.normal(3), 3), oracle(9, kernel, 3), "conv_mixing_matrix(9, kernel, 3)")


@EXERCISE.case(
    points=1, cause="k // 2 zeros on either side whatever k is: an even kernel gives (n + k - k) // stride + 1 rows."
)
def even_kernel(draw: Draw, plan: Plan) -> None:
    """Even kernels, which have no middle, and a kernel of one"""
    for k, stride in ((2, 1), (4, 1), (4, 3), (1, 1), (1, 2)):
        expect(plan, draw.integer(5, 8), draw.normal(k), stride)


@EXERCISE.case(points=0.5, cause="weights that meet no token are left out, at both ends at once if need be.")
def short_sequences(draw: Draw, plan: Plan) -> None:
    """Kernels longer than the sequence, and a sequence of a single token"""
    for n, k, stride in ((3, 5, 1), (2, 7, 1), (1, 3, 1), (1, 5, 2), (4, 9, 2)):
        expect(plan, n, draw.normal(k), stride)


@EXERCISE.case(
    points=1, cause="make the matrix with the kernel's dtype, and of the kernel's own entries, not of their copies."
)
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, the kernel stays as it was, gradients reach it"""
    n, k = 2 * draw.integer(4, 5), 5
    values = draw.normal(k, dtype=torch.float64)
    kernel = plan.put(values)
    plan.expect(plan.call(n, kernel, stride=2), oracle(n, values, 2), "the matrix of a float64 kernel")
    plan.expect(kernel, values, "the kernel after the call")
    leaf, twin = plan.put(values, grad=True), values.clone().requires_grad_()
    want = oracle(n, twin, 2)
    cotangent = draw.normal(*want.shape, dtype=torch.float64)
    (want * cotangent).sum().backward()
    plan.backward(plan.call(n, leaf, stride=2), cotangent)
    plan.expect_grad(leaf, twin.grad, "the kernel")


@EXERCISE.variant
def by_loops() -> None:
    """Two loops: outputs, and the weights of the kernel"""

    def conv_mixing_matrix(n, kernel, stride=1):
        k = len(kernel)
        pad = k // 2
        m = (n + 2 * pad - k) // stride + 1
        matrix = torch.zeros(m, n, dtype=kernel.dtype, device=kernel.device)
        for i in range(m):
            for t in range(k):
                j = i * stride + t - pad
                if 0 <= j < n:
                    matrix[i, j] = kernel[t]
        return matrix


@EXERCISE.variant
def by_convolving_unit_vectors() -> None:
    """conv1d of the identity"""

    def conv_mixing_matrix(n, kernel, stride=1):
        eye = torch.eye(n, dtype=kernel.dtype, device=kernel.device)
        return F.conv1d(eye.unsqueeze(1), kernel.view(1, 1, -1), stride=stride, padding=len(kernel) // 2).squeeze(1).T


@EXERCISE.variant
def by_unfolding() -> None:
    """The padded identity cut into windows"""

    def conv_mixing_matrix(n, kernel, stride=1):
        k = len(kernel)
        eye = F.pad(torch.eye(n).to(kernel), (k // 2, k // 2))
        return torch.einsum("nmk,k->mn", eye.unfold(1, k, stride), kernel)


@EXERCISE.variant
def by_rows_of_zeros() -> None:
    """Every row is the kernel with zeros around it, cut to the tokens"""

    def conv_mixing_matrix(n, kernel, stride=1):
        k, pad = len(kernel), len(kernel) // 2
        length, rows = n + 2 * pad, []
        for start in range(0, length - k + 1, stride):
            row = torch.cat([kernel.new_zeros(start), kernel, kernel.new_zeros(length - k - start)])
            rows.append(row[pad : pad + n])
        return torch.stack(rows)


@EXERCISE.variant
def by_index_arithmetic() -> None:
    """Which weight stands at [i, j] is j - i * stride + k // 2"""

    def conv_mixing_matrix(n, kernel, stride=1):
        k = kernel.numel()
        m = (n + 2 * (k // 2) - k) // stride + 1
        tap = torch.arange(n) - stride * torch.arange(m)[:, None] + k // 2
        inside = (tap >= 0) & (tap < k)
        return kernel[tap.clamp(0, k - 1)] * inside


SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "kernel_flipped",
        "The kernel is reversed. That is the convolution of mathematics; deep learning's is a cross-correlation, in "
        "which the first weight meets the first token of the window.",
        [("matrix[i, j] = kernel[t]", "matrix[i, j] = kernel[k - 1 - t]")],
    ),
    (
        "no_padding",
        "Nothing is padded, so that the ends get no windows of their own. Think of k // 2 zeros on either side.",
        [("pad = k // 2", "pad = 0")],
    ),
    (
        "stride_ignored",
        "The argument stride is ignored: the windows move by one token.",
        [("(n + 2 * pad - k) // stride + 1", "n + 2 * pad - k + 1"), ("i * stride + t", "i + t")],
    ),
    (
        "windows_move_by_one",
        "The number of rows takes the stride into account, but the windows still move by one token from row to row.",
        [("i * stride + t", "i + t")],
    ),
    (
        "stride_inside_the_kernel",
        "The stride spreads the kernel's weights apart (that is dilation). It moves the whole window from row to row.",
        [("i * stride + t", "i + t * stride")],
    ),
    (
        "wrapped_around",
        "Windows that reach over an end come back at the other end (circular padding). Outside there are zeros.",
        [
            ("if 0 <= j < n:\n", "if True:\n"),
            ("matrix[i, j] = kernel[t]", "matrix[i, j % n] = matrix[i, j % n] + kernel[t]"),
        ],
    ),
    (
        "end_tokens_repeated",
        "Weights outside fall on the token at the end (replicate padding). Outside there are zeros: leave them out.",
        [
            ("if 0 <= j < n:\n", "j = min(max(j, 0), n - 1)\n            if True:\n"),
            ("matrix[i, j] = kernel[t]", "matrix[i, j] = matrix[i, j] + kernel[t]"),
        ],
    ),
    (
        "end_tokens_overwritten",
        "The index is clamped to the sequence, so that weights outside overwrite the one of the token at the end. "
        "Leave them out.",
        [("if 0 <= j < n:\n", "j = min(max(j, 0), n - 1)\n            if True:\n")],
    ),
    (
        "negative_index",
        "Only the far end is tested: a negative index counts from the end, so weights before token 0 land on the last "
        "tokens.",
        [("if 0 <= j < n:", "if -n <= j < n:")],
    ),
    (
        "matrix_transposed",
        "The matrix is [n m]. Rows are the new tokens, columns the old ones: [m n], so that matrix @ tokens mixes.",
        [("return matrix", "return matrix.T")],
    ),
    (
        "all_zeros_on_the_left",
        "All padding is on the left, k - 1 zeros, so that a token sees none after itself. That is a causal "
        "convolution; here the padding is k // 2 on either side.",
        [("- pad\n", "- (k - 1)\n")],
    ),
    (
        "window_begins_at_the_token",
        "The window of row i begins at its token; it has its middle there: subtract k // 2.",
        [("i * stride + t - pad", "i * stride + t")],
    ),
    (
        "n_over_stride_rows",
        "There are n // stride rows, which loses the last window where the stride does not divide n: with zeros "
        "around, it is (n + 2 * (k // 2) - k) // stride + 1.",
        [("(n + 2 * pad - k) // stride + 1", "n // stride")],
    ),
    (
        "even_kernel_padded_less",
        "The padding is (k - 1) // 2, which is one less than k // 2 for even kernels.",
        [("pad = k // 2", "pad = (k - 1) // 2")],
    ),
    (
        "ends_made_up_for",
        "Rows at the ends are scaled up so that they sum to as much as the others. With zeros around, what lies "
        "outside is simply missing.",
        [("return matrix", "return matrix * kernel.sum() / matrix.sum(1, keepdim=True)")],
    ),
    (
        "always_float32",
        "torch.zeros makes float32 unless told otherwise; pass dtype=kernel.dtype and device=kernel.device.",
        [("torch.zeros(m, n, dtype=kernel.dtype, device=kernel.device)", "torch.zeros(m, n)")],
    ),
    (
        "kernel_cut_off",
        "The weights are taken out of autograd (.item(), .tolist(), .detach() or torch.tensor do it): no gradient "
        "reaches the kernel, and it could not be learned.",
        [("matrix[i, j] = kernel[t]", "matrix[i, j] = kernel[t].item()")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(by_loops, name, says, *changes)


@EXERCISE.mistake
def stride_has_no_default() -> None:
    """`stride` must have a default, stride=1: it is often left out."""

    def conv_mixing_matrix(n, kernel, stride):
        eye = torch.eye(n, dtype=kernel.dtype, device=kernel.device)
        return F.conv1d(eye[:, None], kernel[None, None], stride=stride, padding=len(kernel) // 2)[:, 0].T
