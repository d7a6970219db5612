"""The memory of a decoder: keys and values of the tokens it has read, and which of them a new token may see."""

import torch
from torch import Tensor


def causal_mask(n: int, past: int = 0, device: torch.device | str | None = None) -> Tensor:
    """Let each of n new tokens attend to all `past` ones, to the new ones before it, and to itself.

    Shape: -> boolean [n past+n], True where token past+i may attend to token j, that is j <= past + i.
    Raises ValueError if n or past is negative.
    """
    if n < 0 or past < 0:
        raise ValueError(f"Numbers of tokens cannot be negative, but n is {n} and past is {past}.")
    return torch.ones(n, past + n, dtype=torch.bool, device=device).tril(past)


class KVCache:
    """Keep, layer by layer, the keys and values of all tokens read so far.

    Made empty; the first `append` to a layer fixes its batch, heads, channels, dtype and device. Room is
    doubled when it runs out, so that n appends copy O(n) numbers. For generation only: no gradient
    flows through it. Source: Shazeer 2019, who calls such attention incremental.
    """

    def __init__(self) -> None:
        self._keys: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}
        self._lengths: dict[int, int] = {}

    @property
    def length(self) -> int:
        """How many tokens every layer remembers."""
        return min(self._lengths.values(), default=0)

    def __contains__(self, layer: int) -> bool:
        return layer in self._lengths

    def __getitem__(self, layer: int) -> tuple[Tensor, Tensor]:
        """Return what `layer` remembers: keys and values [b h m e]. Raises KeyError if that is nothing."""
        m = self._lengths[layer]
        return self._keys[layer][:, :, :m], self._values[layer][:, :, :m]

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Remember new tokens' keys and values and return those of all tokens, oldest first.

        Shapes: key [b h n e], value [b h n f] -> ([b h m e], [b h m f]), m = old + n. Raises ValueError if
        they do not fit each other or what is remembered, RuntimeError if they ask for a gradient.
        """
        if key.ndim != 4 or value.ndim != 4 or key.shape[:3] != value.shape[:3]:
            shapes = f"{tuple(key.shape)} and {tuple(value.shape)}"
            raise ValueError(f"Keys and values must be [b h n e] with equal b, h and n, but are {shapes}.")
        if torch.is_grad_enabled() and (key.requires_grad or value.requires_grad):
            raise RuntimeError("A KVCache passes no gradients on: read with it under torch.no_grad().")
        start = self._lengths.get(layer, 0)
        stop = start + key.shape[2]
        self._keys[layer] = _write(self._keys.get(layer), key, start, stop)
        self._values[layer] = _write(self._values.get(layer), value, start, stop)
        self._lengths[layer] = stop
        return self[layer]

    def reorder(self, rows: Tensor) -> None:
        """Let row i of the batch continue what row `rows[i]` has read. Shape: rows [b'], integers."""
        for store in (self._keys, self._values):
            for layer, kept in store.items():
                store[layer] = kept[rows]

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self._keys.clear()
        self._values.clear()
        self._lengths.clear()


def _write(room: Tensor | None, new: Tensor, start: int, stop: int) -> Tensor:
    if room is None:
        # most caches go on growing by one: leave space for that at once
        room = new.new_empty(*new.shape[:2], max(2 * stop, 64), new.shape[3])
    elif (room.shape[0], room.shape[1], room.shape[3]) != (new.shape[0], new.shape[1], new.shape[3]):
        kept = (*room.shape[:2], start, room.shape[3])
        raise ValueError(f"The cache holds {kept} and cannot take {tuple(new.shape)}: only n may differ.")
    elif stop > room.shape[2]:
        grown = room.new_empty(*room.shape[:2], 2 * stop, room.shape[3])
        grown[:, :, :start] = room[:, :, :start]
        room = grown
    room[:, :, start:stop] = new.detach()
    return room
