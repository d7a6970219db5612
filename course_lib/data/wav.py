"""WAV files: sound as uncompressed numbers."""

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_INTEGERS, _FLOATS, _EXTENSIBLE = 1, 3, 0xFFFE


def read_wav(path: Path | str) -> tuple[Tensor, int]:
    """Read a recording: its samples, and how many there are to a second.

    Shape: float32 [n channels]; integers of 8 to 32 bits are scaled to [-1, 1), floating-point samples are
    taken as they are. Raises ValueError if the file is no WAV file, is cut short, or is compressed.
    Source: Microsoft and IBM, Multimedia Programming Interface and Data Specifications 1.0 (RIFF WAVE).
    """
    content = Path(path).read_bytes()
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise ValueError(f"{path} is not a WAV file.")
    layout, data = None, None
    at = 12
    while data is None and at + 8 <= len(content):
        name, size = content[at : at + 4], struct.unpack_from("<I", content, at + 4)[0]
        chunk = content[at + 8 : at + 8 + size]
        if len(chunk) < size:
            raise ValueError(f"{path} is cut short: {size:,} bytes of {name!r} were promised, {len(chunk):,} came.")
        if name == b"fmt ":
            layout = _layout(chunk, path)
        elif name == b"data":
            data = chunk
        at += 8 + size + size % 2  # chunks start at even places
    if layout is None or data is None:
        raise ValueError(f"{path} is cut short: it has no {'samples' if layout else 'description of them'}.")
    kind, channels, rate, bits = layout
    if len(data) % (channels * bits // 8):
        raise ValueError(f"{path} is cut short: its last sample is not whole.")
    return torch.from_numpy(_samples(data, kind, bits).reshape(-1, channels)), rate


def _layout(chunk: bytes, path: Path | str) -> tuple[int, int, int, int]:
    if len(chunk) < 16:
        raise ValueError(f"{path} is cut short within the description of its samples.")
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if kind == _EXTENSIBLE and len(chunk) >= 26:
        kind = struct.unpack_from("<H", chunk, 24)[0]
    known = {_INTEGERS: (8, 16, 24, 32), _FLOATS: (32, 64)}
    if bits not in known.get(kind, ()) or not channels:
        raise ValueError(f"{path} has {channels} channels in format {kind} with {bits} bits, which is not read here.")
    return kind, channels, rate, bits


def _samples(data: bytes, kind: int, bits: int) -> np.ndarray:
    if kind == _FLOATS:
        return np.frombuffer(data, f"<f{bits // 8}").astype(np.float32)
    if bits == 8:  # the one unsigned width, with silence at 128
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    if bits == 24:
        # three bytes become the upper three of a 32-bit number
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return (wide.view("<i4")[:, 0] / 2**31).astype(np.float32)
    return (np.frombuffer(data, f"<i{bits // 8}") / 2 ** (bits - 1)).astype(np.float32)
