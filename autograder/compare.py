"""Compares a value that came back with the value that was expected, and says in a sentence how they differ."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from autograder.wire import MAX_BITS, Other, Ref


def difference(got: Any, want: Any, *, rtol: float, atol: float, strict: bool = True) -> str | None:
    """None where ``got`` equals ``want``, else what was expected and what came.

    Tensors must agree in shape, dtype and, within ``atol + rtol * |want|``, in value. With ``strict`` false a
    0-dimensional tensor may stand for a number or truth value, and any floating dtype for another. Raises nothing,
    whatever ``got`` is of the types that `autograder.wire` can carry.
    """
    if isinstance(want, Tensor):
        return _tensor(got, want, rtol, atol, strict)
    if isinstance(want, (tuple, list)) and isinstance(got, (tuple, list)) and (not strict or type(got) is type(want)):
        if len(got) != len(want):
            return f"expected {len(want)} items, got {len(got)}"
        for index, (g, w) in enumerate(zip(got, want, strict=True)):
            if problem := difference(g, w, rtol=rtol, atol=atol, strict=strict):
                return f"item {index}: {problem}"
        return None
    if isinstance(want, dict) and isinstance(got, dict):
        return _dict(got, want, rtol, atol, strict)
    if not strict and isinstance(got, Tensor) and got.ndim == 0:
        got = got.item()
    if isinstance(want, bool) or want is None or isinstance(want, (str, bytes)):
        right = type(got) is type(want) and got == want
        return None if right else f"expected {_cut(repr(want), 1_000)}, got {describe(got)}"
    if isinstance(want, (int, float)):
        right = type(got) in (int, float) and (isinstance(want, float) or type(got) is int or not strict)
        return None if right and _close(got, want, rtol, atol) else f"expected {_number(want)}, got {describe(got)}"
    return f"expected {describe(want)}, got {describe(got)}"


def describe(value: Any, depth: int = 3) -> str:
    """A value in a few words: a tensor by shape and dtype, a foreign object by its type, a short one as it is."""
    if isinstance(value, Tensor):
        return f"a tensor {_shape(value)} of {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, Other):
        return f"an object of type {value.type[:100]}"
    if isinstance(value, Ref):
        return "a reference"
    more = ", …" if isinstance(value, (tuple, list, dict)) and len(value) > 3 else ""
    if isinstance(value, (tuple, list)):
        inside = ", ".join(describe(item, depth - 1) for item in value[:3]) if depth else "…"
        return _cut(f"a {type(value).__name__} of {len(value)}" + (f" ({inside}{more})" if value else ""), 300)
    if isinstance(value, dict):
        pairs = itertools.islice(value.items(), 3 if depth else 0)
        inside = ", ".join(f"{describe(key, depth - 1)}: {describe(item, depth - 1)}" for key, item in pairs)
        return _cut("{" + inside + more + "}", 300)
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        return f"a whole number of {value.bit_length()} bits"  # Python refuses to write such numbers out
    # the beginning of a text is enough, and all of it may be long
    return _cut(repr(value[:121] if isinstance(value, (str, bytes)) else value), 120)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "…"


def _close(got: float, want: float, rtol: float, atol: float) -> bool:
    try:
        return math.isclose(got, want, rel_tol=rtol, abs_tol=atol)
    except OverflowError:
        return got == want  # a whole number beyond the floats


def _tensor(got: Any, want: Tensor, rtol: float, atol: float, strict: bool) -> str | None:
    if not isinstance(got, Tensor):
        return f"expected {describe(want)}, got {describe(got)}"
    if got.shape != want.shape:
        return f"expected shape {_shape(want)}, got {_shape(got)}"
    if got.dtype != want.dtype and (strict or _kind(got) != _kind(want)):
        return f"expected dtype {want.dtype}, got {got.dtype}"
    wide = torch.complex128 if want.is_complex() else torch.float64
    got, want = got.detach().to(wide), want.detach().to(wide)
    close = torch.isclose(got, want, rtol=rtol, atol=atol, equal_nan=True)
    if bool(close.all()):
        return None
    wrong = (~close).nonzero()
    at = tuple(wrong[0].tolist())
    count = f"{len(wrong)} of {close.numel()} entries differ"
    if bool(got.isnan().any()) and not bool(want.isnan().any()):
        at = tuple(got.isnan().nonzero()[0].tolist())
        return f"expected {_number(want[at].item())} at {list(at)}, got NaN ({count})"
    place = f" at {list(at)}" if at else ""
    return f"expected {_number(want[at].item())}{place}, got {_number(got[at].item())} ({count})"


def _dict(got: dict, want: dict, rtol: float, atol: float, strict: bool) -> str | None:
    for key in want:
        if key not in got:
            return f"expected an entry {describe(key)}, which is missing"
        if problem := difference(got[key], want[key], rtol=rtol, atol=atol, strict=strict):
            return f"entry {describe(key)}: {problem}"
    extra = [key for key in got if key not in want]
    return f"unexpected entry {describe(extra[0])}" if extra else None


def _kind(value: Tensor) -> tuple[bool, bool]:
    return value.is_floating_point(), value.is_complex()


def _shape(value: Tensor) -> str:
    return "[" + " ".join(map(str, value.shape)) + "]"


def _number(value: complex | float) -> str:
    if isinstance(value, complex):
        return str(value)
    return f"{value:.5g}" if abs(value) < 1e300 else describe(value)  # Python cannot format some larger ones
