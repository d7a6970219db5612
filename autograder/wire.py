"""The only form in which values pass between a student's process and the judge.

A message is ``magic, header length, JSON header, raw little-endian buffers``. The header is a tree of tagged
values; tensors in it point into the buffers. There is no pickle: decoding can build nothing but the types below.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

MAGIC = b"TCW1"
MAX_DEPTH = 32
MAX_HEADER = 4 << 20
MAX_MESSAGE = 256 << 20
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
        torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128,
    )
}  # fmt: skip


class WireError(ValueError):
    """The bytes are not a message, or the value cannot be sent."""


@dataclass(frozen=True)
class Ref:
    """A value that an earlier step of a probe made, or a part of it: ``out[0]`` is ``Ref("out", (0,))``."""

    name: str
    path: tuple[int | str, ...] = ()

    def __getitem__(self, key: int | str) -> Ref:
        return Ref(self.name, (*self.path, key))


@dataclass(frozen=True)
class Other:
    """What stands for a value of any other type: the type's name and a short text."""

    type: str
    text: str = ""


def encode(value: Any) -> bytes:
    """The message for ``value``.

    Sends None, bool, int, float, str, bytes, list, tuple, dict, strided tensors, Ref and Other.
    Raises WireError for anything else, and for nesting deeper than ``MAX_DEPTH``.
    """
    buffers: list[bytes] = []
    header = json.dumps(_pack(value, buffers, MAX_DEPTH), separators=(",", ":")).encode()
    return b"".join([MAGIC, struct.pack("<I", len(header)), header, *buffers])


def decode(message: bytes) -> Any:
    """The value in ``message``; raises WireError if any part of it is out of form."""
    if len(message) > MAX_MESSAGE:
        raise WireError(f"a message of {len(message)} bytes is over the limit of {MAX_MESSAGE}")
    if message[:4] != MAGIC or len(message) < 8:
        raise WireError("not a message of this format")
    (size,) = struct.unpack("<I", message[4:8])
    if size > MAX_HEADER or 8 + size > len(message):
        raise WireError("the header is longer than the message or over its limit")
    try:
        header = json.loads(message[8 : 8 + size])
    except (ValueError, RecursionError) as error:
        raise WireError("the header is not JSON") from error
    return _unpack(header, memoryview(message)[8 + size :], MAX_DEPTH)


def _pack(value: Any, buffers: list[bytes], depth: int) -> Any:
    if depth == 0:
        raise WireError(f"nested deeper than {MAX_DEPTH}")
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return {"i": str(value)} if abs(value) >= 1 << 53 else value
    if kind is float:
        return value if math.isfinite(value) else {"f": str(value)}
    if kind is bytes:
        return {"b": base64.b64encode(value).decode()}
    if kind in (list, tuple):
        return {"l" if kind is list else "u": [_pack(item, buffers, depth - 1) for item in value]}
    if kind is dict:
        return {"d": [[_pack(item, buffers, depth - 1) for item in pair] for pair in value.items()]}
    if kind is Ref:
        return {"r": [value.name, *value.path]}
    if kind is Other:
        return {"o": [value.type, value.text]}
    if isinstance(value, Tensor):
        return {"t": _pack_tensor(value, buffers)}
    raise WireError(f"a {kind.__name__} cannot be sent")


def _pack_tensor(value: Tensor, buffers: list[bytes]) -> list[Any]:
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype not in DTYPES or value.layout is not torch.strided:
        raise WireError(f"a {value.layout} tensor of {value.dtype} cannot be sent")
    flat = value.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    buffers.append(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    offset = sum(map(len, buffers[:-1]))
    return [dtype, list(value.shape), offset, value.device.type, value.requires_grad]


def _unpack(node: Any, buffers: memoryview, depth: int) -> Any:
    if depth == 0:
        raise WireError(f"nested deeper than {MAX_DEPTH}")
    if node is None or isinstance(node, (bool, int, float, str)):
        return node
    if not isinstance(node, dict) or len(node) != 1:
        raise WireError("a value without a tag")
    ((tag, body),) = node.items()
    try:
        return _unpack_tagged(tag, body, buffers, depth)
    except (TypeError, ValueError, KeyError, RuntimeError, OverflowError) as error:
        raise error if isinstance(error, WireError) else WireError(f"a value tagged {tag!r} is out of form") from error


def _unpack_tagged(tag: str, body: Any, buffers: memoryview, depth: int) -> Any:
    match tag:
        case "i" if isinstance(body, str) and len(body) <= 400:
            return int(body)
        case "f" if body in ("nan", "inf", "-inf"):
            return float(body)
        case "b" if isinstance(body, str):
            return base64.b64decode(body, validate=True)
        case "l" | "u" if isinstance(body, list):
            items = [_unpack(item, buffers, depth - 1) for item in body]
            return items if tag == "l" else tuple(items)
        case "d" if isinstance(body, list):
            return {_unpack(k, buffers, depth - 1): _unpack(v, buffers, depth - 1) for k, v in body}
        case "r" if isinstance(body, list) and all(isinstance(part, (str, int)) for part in body):
            return Ref(body[0], tuple(body[1:]))
        case "o" if isinstance(body, list) and len(body) == 2 and all(isinstance(part, str) for part in body):
            return Other(*body)
        case "t" if isinstance(body, list) and len(body) == 5:
            return _unpack_tensor(body, buffers)
    raise WireError(f"no value is tagged {tag!r} like this")


def _unpack_tensor(body: list[Any], buffers: memoryview) -> Tensor:
    name, shape, offset, _device, requires_grad = body
    dtype = DTYPES[name]
    if not all(type(size) is int and size >= 0 for size in (*shape, offset)) or len(shape) > 16:
        raise WireError("a tensor's shape and offset must be small lists of whole numbers from 0 up")
    count = math.prod(shape)
    end = offset + count * dtype.itemsize
    if end > len(buffers):
        raise WireError("a tensor reaches past the end of the message")
    data = torch.frombuffer(bytearray(buffers[offset:end]), dtype=dtype) if count else torch.empty(0, dtype=dtype)
    tensor = data.reshape(shape)
    # integer tensors cannot require gradients: a claim that they do is ignored rather than believed
    return tensor.requires_grad_(bool(requires_grad) and (dtype.is_floating_point or dtype.is_complex))
