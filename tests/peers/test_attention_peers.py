"""The attention room against torch's own parts and against plain loops: values and gradients agree."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.attention import (
    LayerNorm,
    MultiHeadAttention,
    TransformerBlock,
    attend,
    gram_attention,
    softmax,
)

# every size differs from every other, so that no two axes can be swapped unnoticed
B, N, M, E, HEADS = 2, 5, 7, 4, 3
DIM = E * HEADS


def exact(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64


def random_mask(*shape: int) -> Tensor:
    """Neither causal nor symmetric; every query keeps a key, since torch's modules give NaN otherwise."""
    mask = torch.rand(*shape) > 0.5
    mask[..., 2] = True
    return mask


def values_and_gradients(f, inputs: list[Tensor], parameters=()) -> list[Tensor]:
    """f's output, and the gradients of a random functional of it to inputs and parameters."""
    inputs = [t.detach().clone().requires_grad_() for t in inputs]
    out = f(*inputs)
    probe = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    loss = (out * probe.to(out)).sum()
    return [out.detach(), *torch.autograd.grad(loss, [*inputs, *parameters])]


def assert_same(ours: list[Tensor], theirs: list[Tensor], **tolerance) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **tolerance)


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_softmax(device, dim, scale):
    x = torch.randn(B, N, M, dtype=exact(device)).to(device) * scale
    assert_same(
        values_and_gradients(lambda t: softmax(t, dim), [x]),
        values_and_gradients(lambda t: torch.softmax(t, dim), [x]),
    )


@pytest.mark.parametrize("kind", ["none", "random", "causal", "per batch"])
def test_attend_equals_the_fused_kernel(device, kind):
    dtype = exact(device)
    q, k, v = (torch.randn(B, HEADS, *s, dtype=dtype).to(device) for s in [(N, E), (M, E), (M, 6)])
    mask = {
        "none": None,
        "random": random_mask(N, M),
        "causal": torch.ones(N, M, dtype=torch.bool).tril(M - N),
        "per batch": random_mask(B, 1, N, M),
    }[kind]
    mask = None if mask is None else mask.to(device)
    assert_same(
        values_and_gradients(lambda *t: attend(*t, mask)[0], [q, k, v]),
        values_and_gradients(lambda *t: F.scaled_dot_product_attention(*t, attn_mask=mask), [q, k, v]),
    )


def test_attend_in_bfloat16_is_as_near_to_the_truth_as_the_fused_kernel(device):
    q, k, v = (torch.randn(B, HEADS, *s).to(device, torch.bfloat16) for s in [(N, E), (M, E), (M, 6)])
    mask = random_mask(N, M).to(device)
    truth = attend(q.cpu().double(), k.cpu().double(), v.cpu().double(), mask.cpu())[0]
    ours = attend(q, k, v, mask)[0]
    fused = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert ours.dtype == torch.bfloat16
    # bfloat16 has 8 bits of mantissa: a rounding is 2^-8 of a value of size one, and three follow each other
    for answer in (ours, fused):
        torch.testing.assert_close(answer.cpu().double(), truth, rtol=0, atol=4 * 2**-8)


def test_attend_equals_a_loop_over_queries_and_keys():
    generator = torch.Generator().manual_seed(2)
    q, k, v = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in [(N, E), (M, E), (M, 6)])
    mask = torch.rand(N, M, generator=generator) > 0.5
    mask[3] = False
    expected = torch.zeros(N, 6, dtype=torch.float64)
    for i in range(N):
        allowed = [j for j in range(M) if mask[i, j]]
        powers = [math.exp(sum(float(a * b) for a, b in zip(q[i], k[j], strict=True)) / E**0.5) for j in allowed]
        for power, j in zip(powers, allowed, strict=True):
            expected[i] += power / sum(powers) * v[j]
    torch.testing.assert_close(attend(q, k, v, mask)[0], expected)


def test_gram_attention_equals_a_loop():
    t = torch.randn(B, N, E, dtype=torch.float64)
    expected = torch.zeros_like(t)
    for b in range(B):
        for i in range(N):
            powers = [math.exp(float(t[b, i] @ t[b, j]) / 0.7) for j in range(N)]
            expected[b, i] = sum(p * t[b, j] for j, p in enumerate(powers)) / sum(powers)
    torch.testing.assert_close(gram_attention(t, 0.7), expected)


def torch_mha(ours: MultiHeadAttention) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(DIM, HEADS, batch_first=True).to(ours.out.weight)
    three = [ours.query, ours.key, ours.value]
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([layer.weight for layer in three]))
        theirs.in_proj_bias.copy_(torch.cat([layer.bias for layer in three]))
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    return theirs


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cross", [False, True])
def test_multi_head_attention_equals_torchs(device, redraw, masked, cross):
    ours = redraw(MultiHeadAttention(DIM, HEADS)).to(device, exact(device))
    theirs = torch_mha(ours)
    inputs = [torch.randn(B, n, DIM, dtype=exact(device)).to(device) for n in ((N, M) if cross else (N,))]
    mask = random_mask(N, inputs[-1].shape[1]).to(device) if masked else None
    hidden = None if mask is None else ~mask  # torch's module means the opposite: True hides

    def torchs(x, context=None):
        context = x if context is None else context
        return theirs(x, context, context, attn_mask=hidden, need_weights=False)[0]

    a = values_and_gradients(
        lambda *t: ours(*t, mask=mask),
        inputs,
        [p for layer in (ours.query, ours.key, ours.value, ours.out) for p in (layer.weight, layer.bias)],
    )
    b = values_and_gradients(
        torchs,
        inputs,
        [theirs.in_proj_weight, theirs.in_proj_bias, theirs.out_proj.weight, theirs.out_proj.bias],
    )
    split = 1 + len(inputs)
    packed = [
        *a[:split],
        torch.cat(a[split : split + 6 : 2]),
        torch.cat(a[split + 1 : split + 6 : 2]),
        *a[-2:],
    ]
    assert_same(packed, b)


def test_the_maps_equal_torchs_weights_of_each_head(redraw):
    ours = redraw(MultiHeadAttention(DIM, HEADS)).double()
    x, context = torch.randn(B, N, DIM).double(), torch.randn(B, M, DIM).double()
    mask = random_mask(N, M)
    _, weights = torch_mha(ours)(x, context, context, attn_mask=~mask, average_attn_weights=False)
    torch.testing.assert_close(ours.attention_maps(x, context, mask), weights)


def test_a_padding_mask_equals_torchs_key_padding_mask(redraw):
    ours = redraw(MultiHeadAttention(DIM, HEADS)).double()
    x, context = torch.randn(B, N, DIM).double(), torch.randn(B, M, DIM).double()
    real = torch.arange(M) < torch.tensor([[3], [6]])  # [b m], uneven lengths
    theirs, _ = torch_mha(ours)(x, context, context, key_padding_mask=~real)
    torch.testing.assert_close(ours(x, context, real[:, None].expand(B, N, M)), theirs)


@pytest.mark.parametrize("shape", [(DIM,), (N, DIM), (B, N, DIM)])
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_layer_norm_equals_torchs(device, redraw, shape, eps):
    ours = redraw(LayerNorm(DIM, eps)).to(device, exact(device))
    theirs = nn.LayerNorm(DIM, eps).to(ours.weight)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(*shape, dtype=exact(device)).to(device) * 3 + 2
    assert_same(
        values_and_gradients(ours, [x], ours.parameters()),
        values_and_gradients(theirs, [x], theirs.parameters()),
    )


def test_layer_norm_in_bfloat16_is_one_rounding_from_torchs(device, redraw):
    ours = redraw(LayerNorm(DIM)).to(device, torch.bfloat16)
    theirs = nn.LayerNorm(DIM).to(ours.weight)
    theirs.load_state_dict(ours.state_dict())
    x = (torch.randn(B, N, DIM) * 3 + 2).to(device, torch.bfloat16)
    torch.testing.assert_close(ours(x), theirs(x), rtol=2 * 2**-8, atol=2 * 2**-8)


def torch_block(ours: TransformerBlock, hidden: int) -> nn.TransformerEncoderLayer:
    theirs = nn.TransformerEncoderLayer(
        DIM, HEADS, hidden, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    ).to(ours.norm1.weight)
    theirs.self_attn = torch_mha(ours.attn)
    for mine, its in [
        (ours.norm1, theirs.norm1),
        (ours.norm2, theirs.norm2),
        (ours.mlp[0], theirs.linear1),
        (ours.mlp[2], theirs.linear2),
    ]:
        its.load_state_dict(mine.state_dict())
    return theirs


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("ratio", [4, 2.5])
def test_block_equals_torchs_encoder_layer(device, redraw, masked, ratio):
    ours = redraw(TransformerBlock(DIM, HEADS, ratio)).to(device, exact(device))
    theirs = torch_block(ours, int(ratio * DIM))
    mask = random_mask(N, N).to(device) if masked else None
    hidden = None if mask is None else ~mask
    x = torch.randn(B, N, DIM, dtype=exact(device)).to(device)

    def ends(block_parts):
        return [p for part in block_parts for p in part.parameters()]

    assert_same(
        values_and_gradients(lambda t: ours(t, mask), [x], ends([ours.norm1, ours.norm2, ours.attn.out, ours.mlp])),
        values_and_gradients(
            lambda t: theirs(t, src_mask=hidden),
            [x],
            ends([theirs.norm1, theirs.norm2, theirs.self_attn.out_proj, theirs.linear1, theirs.linear2]),
        ),
    )
