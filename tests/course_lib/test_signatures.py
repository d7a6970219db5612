"""Every exercise has its reference under the name and with the parameters that the assignments promise."""

import importlib
import inspect

import pytest

ROOMS = {
    "attention": """
        softmax(x, dim) attention_weights(q, k, mask=None) attend(q, k, v, mask=None)
        gram_attention(tokens, temperature=1.0) split_heads(x, heads) merge_heads(x) MultiHeadAttention(dim, heads)
        LayerNorm(dim, eps=1e-05) TransformerBlock(dim, heads, mlp_ratio=4) is_permutation_equivariant(f, x, tol=1e-05)
    """,
}
PROMISED = [
    (room, promise + ")")
    for room, text in ROOMS.items()
    for promise in " ".join(text.split()).replace(") ", ")").rstrip(")").split(")")
]


@pytest.mark.parametrize(("room", "promise"), PROMISED)
def test_the_reference_keeps_the_promised_signature(room, promise):
    name, wanted = promise.rstrip(")").split("(")
    signature = inspect.signature(getattr(importlib.import_module(f"course_lib.{room}"), name))
    found = [
        parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default!r}"
        for parameter in signature.parameters.values()
    ]
    wanted = wanted.split(", ")
    assert found[: len(wanted)] == wanted
    # what comes on top must be optional, so that the promised call works
    extra = list(signature.parameters.values())[len(wanted) :]
    assert all(p.default is not p.empty or p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in extra)
