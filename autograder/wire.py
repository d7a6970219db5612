"""The only form in which values pass between a student's process and the judge.

A message is ``magic, header length, JSON header, raw little-endian buffers``. The header is a tree of tagged
values; tensors in it point into the buffers. There is no pickle: decoding can build nothing but the types below.
"""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

MAGIC = b"TCW1"
MAX_DEPTH = 32
MAX_HEADER = 4 << 20
MAX_MESSAGE = 256 << 20
MAX_CONTAINERS = 200_000  # lists and objects in a header: each takes Python some hundred bytes
MAX_AXES = 16
MAX_BITS = 1_300  # of a whole number: about 390 digits
MAX_COLLISIONS = 100
EXACT = 1 << 53  # whole numbers up to here are plain JSON
WHOLE = re.compile(r"-?[0-9]{1,400}")
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

    Sends None, bool, int, float, str, bytes, list, tuple, dict, strided tensors, Ref and Other. A whole number of
    more than ``MAX_BITS`` bits and a tensor of more than ``MAX_AXES`` axes are sent as Other.
    Raises WireError for anything else, and for nesting deeper than ``MAX_DEPTH``.
    """
    buffers = _Buffers()
    header = json.dumps(_pack(value, buffers, MAX_DEPTH), separators=(",", ":")).encode()
    return b"".join([MAGIC, struct.pack("<I", len(header)), header, *buffers.parts])


def decode(message: bytes) -> Any:
    """The value in ``message``; raises WireError if any part of it is out of form.

    Every tensor has bytes of its own, in order and without gaps, so that decoding takes little more memory than the
    message's size, plus some 60 MB at most for a header made of empty lists.
    """
    if len(message) > MAX_MESSAGE:
        raise WireError(f"a message of {len(message)} bytes is over the limit of {MAX_MESSAGE}")
    if message[:4] != MAGIC or len(message) < 8:
        raise WireError("not a message of this format")
    (size,) = struct.unpack("<I", message[4:8])
    if size > MAX_HEADER or 8 + size > len(message):
        raise WireError("the header is longer than the message or over its limit")
    text = bytes(message[8 : 8 + size])
    if text.count(b"{") + text.count(b"[") > MAX_CONTAINERS:
        raise WireError(f"more than {MAX_CONTAINERS} lists and objects are in the header")
    reader = _Reader(memoryview(message)[8 + size :])
    try:
        value = reader.value(json.loads(text.decode(), parse_constant=_refuse), MAX_DEPTH)
    except WireError:
        raise
    except (ValueError, RecursionError) as error:
        raise WireError("the header is not JSON") from error
    if reader.at != len(reader.buffers):
        raise WireError("bytes are left over behind the last tensor")
    return value


def _refuse(name: str) -> Any:
    raise WireError(f"{name} is not sent like this")


class _Buffers:
    """The raw bytes of the tensors packed so far."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, part: bytes) -> int:
        """Append the bytes; returns where they begin."""
        self.parts.append(part)
        self.size += len(part)
        return self.size - len(part)


def _pack(value: Any, buffers: _Buffers, depth: int) -> Any:
    if depth == 0:
        raise WireError(f"nested deeper than {MAX_DEPTH}")
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        if value.bit_length() > MAX_BITS:
            return {"o": ["int", f"a whole number of {value.bit_length()} bits"]}
        return {"i": str(value)} if abs(value) >= EXACT else value
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
        if value.ndim > MAX_AXES:
            return {"o": ["torch.Tensor", f"a tensor of {value.ndim} axes"]}
        return {"t": _pack_tensor(value, buffers)}
    raise WireError(f"a {kind.__name__} cannot be sent")


def _pack_tensor(value: Tensor, buffers: _Buffers) -> list[Any]:
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype not in DTYPES or value.layout is not torch.strided:
        raise WireError(f"a {value.layout} tensor of {value.dtype} cannot be sent")
    flat = value.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    offset = buffers.add(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    return [dtype, list(value.shape), offset, value.device.type, value.requires_grad]


class _Reader:
    """Builds values from a header; the tensors take their bytes from `buffers` one after the other."""

    def __init__(self, buffers: memoryview) -> None:
        self.buffers = buffers
        self.at = 0

    def value(self, node: Any, depth: int) -> Any:
        if depth == 0:
            raise WireError(f"nested deeper than {MAX_DEPTH}")
        kind = type(node)
        if kind is dict and len(node) == 1:
            ((tag, body),) = node.items()
            try:
                return self.tagged(tag, body, depth - 1)
            except WireError:
                raise
            except (TypeError, ValueError, LookupError, RuntimeError, OverflowError) as error:
                raise WireError(f"a value tagged {tag[:20]!r} is out of form") from error
        if kind is str or node is None or kind is bool:
            return node
        if kind is int and -EXACT < node < EXACT or kind is float and math.isfinite(node):
            return node
        raise WireError("a value without a tag, or a number out of range")

    def tagged(self, tag: str, body: Any, depth: int) -> Any:
        # in the order of how often they come: a request holds several hundred of these
        kind = type(body)
        if kind is list:
            if tag == "d" and all(type(pair) is list and len(pair) == 2 for pair in body):
                pairs = [
                    (key if type(key) is str else self.value(key, depth), self.value(item, depth)) for key, item in body
                ]
                if len(pairs) > MAX_COLLISIONS:
                    _refuse_collisions([key for key, _ in pairs])
                return dict(pairs)
            if tag in ("l", "u"):
                items = [self.value(item, depth) for item in body]
                return items if tag == "l" else tuple(items)
            if tag == "t" and len(body) == 5:
                return self.tensor(*body)
            if tag == "r" and type(body[0]) is str and all(map(_is_part, body)):
                return Ref(body[0], tuple(body[1:]))
            if tag == "o" and len(body) == 2 and all(type(part) is str for part in body):
                return Other(*body)
        elif kind is str:
            if tag == "i" and WHOLE.fullmatch(body):
                return int(body)
            if tag == "f" and body in ("nan", "inf", "-inf"):
                return float(body)
            if tag == "b":
                return base64.b64decode(body, validate=True)
        raise WireError(f"no value is tagged {tag[:20]!r} like this")

    def tensor(self, name: Any, shape: Any, offset: Any, device: Any, requires_grad: Any) -> Tensor:
        dtype = DTYPES[name]
        if not isinstance(shape, list) or not all(type(size) is int and 0 <= size < EXACT for size in shape):
            raise WireError("a tensor's shape must be a list of whole numbers from 0 up")
        if len(shape) > MAX_AXES or math.prod(size or 1 for size in shape) >= 1 << 62:
            raise WireError("a tensor has too many axes or elements")
        if (
            type(offset) is not int
            or offset != self.at
            or not isinstance(device, str)
            or type(requires_grad) is not bool
        ):
            raise WireError("a tensor's bytes do not begin where those before it end, or it is described out of form")
        count = math.prod(shape)
        end = offset + count * dtype.itemsize
        if end > len(self.buffers):
            raise WireError("a tensor reaches past the end of the message")
        self.at = end
        if not count:
            data = torch.empty(0, dtype=dtype)
        elif dtype is torch.bool:
            # any byte but 0 is True; torch would keep the byte and count with it
            data = torch.frombuffer(bytearray(self.buffers[offset:end]), dtype=torch.uint8).ne(0)
        else:
            data = torch.frombuffer(bytearray(self.buffers[offset:end]), dtype=dtype)
        data = data.reshape(shape)
        # integer tensors cannot require gradients: a claim that they do is ignored rather than believed
        return data.requires_grad_() if requires_grad and (dtype.is_floating_point or dtype.is_complex) else data


def _is_part(part: Any) -> bool:
    return isinstance(part, str) or type(part) is int and -EXACT < part < EXACT


def _refuse_collisions(keys: list[Any]) -> None:
    """Raise WireError for keys chosen to share one hash: with many of them building a dict takes for ever."""
    hashes = sorted(map(hash, keys))
    if any(a == b for a, b in zip(hashes, hashes[MAX_COLLISIONS:], strict=False)):
        raise WireError("too many keys of a dict share one hash")
