"""Ways of damaging valid input a little, which goes deeper than noise."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("9" * 30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    """Bytes of something valid, some of them overwritten, cut out, repeated or put in."""
    data = bytearray(draw(valid))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 40))
        match draw(st.sampled_from(["overwrite", "insert", "remove", "repeat", "cut", "bit", "huge"])):
            case "overwrite":
                noise = draw(st.binary(min_size=1, max_size=8))
                data[at : at + len(noise)] = noise
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
            case "remove":
                del data[at : at + size]
            case "repeat":
                data[at:at] = data[at : at + size] * draw(st.integers(1, 3))
            case "cut":
                del data[at:]
            case "bit" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "huge":
                data[at : at + 4] = draw(st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f"]))
    return bytes(data)


@st.composite
def rearranged(draw: st.DrawFn, tree: Any, values: st.SearchStrategy[Any] = plain) -> Any:
    """A JSON tree in which a few places hold something else, are gone, twice, or in another order."""
    root = [tree]
    for _ in range(draw(st.integers(1, 4))):
        holder: Any = root
        key: Any = 0
        for _ in range(draw(st.integers(0, 6))):
            inside = holder[key]
            if isinstance(inside, (list, dict)) and inside:
                holder = inside
                key = draw(
                    st.sampled_from(sorted(inside, key=repr) if isinstance(inside, dict) else range(len(inside)))
                )
        match draw(st.sampled_from(["replace", "remove", "repeat", "shuffle", "wrap"])):
            case "replace":
                holder[key] = draw(values)
            case "remove" if holder is not root:
                del holder[key]
            case "repeat" if isinstance(holder, list):
                holder.insert(draw(st.integers(0, len(holder))), holder[key])
            case "shuffle" if isinstance(holder, list):
                holder[:] = draw(st.permutations(holder))
            case "wrap":
                holder[key] = [holder[key]]
        if not root:
            root = [None]
    return root[0]
