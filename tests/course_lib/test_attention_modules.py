"""The modules of the attention room: masks, causality, norms, and what they must leave alone."""

import pytest
import torch
from torch import nn

from course_lib.attention import (
    LayerNorm,
    MultiHeadAttention,
    TransformerBlock,
    is_permutation_equivariant,
    merge_heads,
    split_heads,
)

# MultiHeadAttention


def mha(redraw, device="cpu", dtype=torch.float64, dim=12, heads=3):
    return redraw(MultiHeadAttention(dim, heads)).to(device=device, dtype=dtype)


def test_the_forward_pass_uses_the_weights_that_the_maps_show(redraw):
    attn = mha(redraw)
    x, context = torch.randn(2, 5, 12).double(), torch.randn(2, 7, 12).double()
    mask = torch.rand(2, 3, 5, 7) > 0.4
    mask[0, 1, 2] = False
    maps = attn.attention_maps(x, context, mask)
    by_hand = attn.out(merge_heads(maps @ split_heads(attn.value(context), 3)))
    torch.testing.assert_close(attn(x, context, mask), by_hand)


def test_each_mask_shape_means_what_it_says(redraw):
    attn = mha(redraw)
    x, context = torch.randn(2, 5, 12).double(), torch.randn(2, 7, 12).double()
    per_item = torch.rand(2, 5, 7) > 0.4
    torch.testing.assert_close(attn(x, context, per_item), attn(x, context, per_item[:, None]))
    shared = per_item[0]
    torch.testing.assert_close(attn(x, context, shared), attn(x, context, shared.expand(2, 3, 5, 7)))
    # b = h here: a mask [b n m] must not be taken for [h n m]
    two = mha(redraw, heads=2)
    torch.testing.assert_close(two(x, context, per_item), two(x, context, per_item[:, None].expand(2, 2, 5, 7)))


def test_an_empty_row_leaves_the_output_bias_and_finite_gradients(redraw, device):
    attn = mha(redraw, device, torch.float32)
    x = torch.randn(2, 5, 12, device=device, requires_grad=True)
    mask = torch.rand(5, 5, device=device) > 0.3
    mask[3] = False
    out = attn(x, mask=mask)
    torch.testing.assert_close(out[:, 3], attn.out.bias.expand(2, 12))
    out.square().sum().backward()
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in attn.parameters())


@pytest.mark.parametrize("build", [MultiHeadAttention, TransformerBlock])
def test_a_causal_mask_stops_every_gradient_from_the_future(redraw, build):
    model = redraw(build(12, 3)).double()
    x = torch.randn(1, 6, 12, dtype=torch.float64, requires_grad=True)
    causal = torch.ones(6, 6, dtype=torch.bool).tril()
    for i in range(6):
        (grad,) = torch.autograd.grad(model(x, mask=causal)[0, i].sum(), x)
        assert (grad[0, i + 1 :] == 0).all()
        assert (grad[0, : i + 1].abs().amax(-1) > 0).all()


def test_multi_head_attention_refuses_masks_that_do_not_fit(redraw):
    attn = mha(redraw)
    x = torch.randn(2, 5, 12).double()
    with pytest.raises(TypeError, match="must be boolean"):
        attn(x, mask=torch.ones(5, 5))
    with pytest.raises(ValueError, match="does not fit"):
        attn(x, mask=torch.ones(4, 5, 5, dtype=torch.bool))


def test_inputs_and_global_randomness_are_left_alone(redraw):
    block = redraw(TransformerBlock(12, 3))
    x, mask = torch.randn(2, 5, 12), torch.rand(5, 5) > 0.5
    before, mask_before, state = x.clone(), mask.clone(), torch.get_rng_state()
    block(x, mask)
    is_permutation_equivariant(block, x)
    assert torch.equal(x, before) and torch.equal(mask, mask_before)
    assert torch.equal(torch.get_rng_state(), state)


# LayerNorm and TransformerBlock


def test_layer_norm_gives_mean_zero_and_biased_variance_one():
    y = LayerNorm(7, eps=0.0)(torch.randn(3, 5, 7, dtype=torch.float64) * 9 + 4)
    torch.testing.assert_close(y.mean(-1), torch.zeros(3, 5, dtype=torch.float64))
    torch.testing.assert_close(y.var(-1, unbiased=False), torch.ones(3, 5, dtype=torch.float64))


def test_layer_norm_of_a_constant_token_is_its_bias(redraw):
    norm = redraw(LayerNorm(7))
    torch.testing.assert_close(norm(torch.full((1, 2, 7), 3e4)), norm.bias.expand(1, 2, 7))


def test_eps_stands_inside_the_root():
    y = LayerNorm(2, eps=3.0)(torch.tensor([[1.0, -1.0]]))
    torch.testing.assert_close(y, torch.tensor([[0.5, -0.5]]))


def test_a_block_of_zero_branches_passes_the_stream_through(redraw):
    block = redraw(TransformerBlock(12, 3))
    for layer in (block.attn.out, block.mlp[2]):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    x = torch.randn(2, 5, 12)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("ratio, hidden", [(4, 48), (1.5, 18)])
def test_the_ratio_sets_the_width_of_the_mlp(ratio, hidden):
    assert TransformerBlock(12, 3, mlp_ratio=ratio).mlp[0].out_features == hidden


def test_a_block_has_the_gradient_of_its_formula(redraw):
    block = redraw(TransformerBlock(4, 2, mlp_ratio=2)).double()
    x = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, [x])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_dtype_and_device_follow_the_input(redraw, device, dtype):
    if device.type == "mps" and dtype == torch.float64:
        pytest.skip("this device has no float64")
    block = redraw(TransformerBlock(12, 3)).to(device=device, dtype=dtype)
    out = block(torch.randn(2, 5, 12, device=device, dtype=dtype), torch.ones(5, 5, device=device).tril().bool())
    assert (out.dtype, out.device.type) == (dtype, device.type)
