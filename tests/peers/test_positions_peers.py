"""Positional encodings against transformers, timm and vit-pytorch, with their channel orders converted."""

import math

import pytest
import torch
import torch.nn.functional as F
from agreement import assert_same, values_and_gradients

from course_lib.positions import (
    RotaryAttention,
    alibi_bias,
    alibi_slopes,
    fourier_features,
    resize_positions,
    rope,
    sincos_2d,
    sinusoidal,
)
from course_lib.transformer import Transformer

F64 = torch.float64


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def halves(x: torch.Tensor) -> torch.Tensor:
    """From pairs of neighbours (0,1), (2,3), … to the layout whose pairs are (i, i + d/2)."""
    return torch.cat([x[..., 0::2], x[..., 1::2]], dim=-1)


def test_sinusoids_against_gpt_j():
    from transformers.models.gptj.modeling_gptj import create_sinusoidal_positions

    # theirs has all sines first
    torch.testing.assert_close(halves(sinusoidal(9, 6)), create_sinusoidal_positions(9, 6))


def test_sinusoids_against_marian():
    from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

    theirs = MarianSinusoidalPositionalEmbedding(9, 6)
    torch.testing.assert_close(halves(sinusoidal(9, 6)), theirs.create_weight())


def test_rope_against_gpt_j_which_pairs_neighbours_too():
    from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb, create_sinusoidal_positions

    x, places = draw(2, 5, 3, 8), torch.tensor([3, 0, 7, 7, 2])  # theirs is b n h d
    sin, cos = create_sinusoidal_positions(9, 8)[places].double().expand(2, 5, 8).chunk(2, dim=-1)
    assert_same(
        values_and_gradients(lambda t: rope(t.transpose(1, 2), places).transpose(1, 2), [x]),
        values_and_gradients(lambda t: apply_rotary_pos_emb(t, sin, cos), [x]),
        atol=1e-5,  # their table is in float32
        rtol=1e-5,
    )


@pytest.mark.parametrize("base", [10000.0, 50.0])
def test_rope_against_llama_which_pairs_halves(base):
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    q, k, places = draw(2, 3, 5, 8), draw(2, 3, 5, 8, seed=1), torch.tensor([3, 0, 7, 7, 2])
    angles = places[:, None] * base ** (-torch.arange(0, 8, 2, dtype=F64) / 8)
    cos, sin = (f(torch.cat([angles, angles], -1))[None] for f in (torch.cos, torch.sin))
    theirs = apply_rotary_pos_emb(halves(q), halves(k), cos, sin)
    for ours, their in zip((q, k), theirs, strict=True):
        torch.testing.assert_close(halves(rope(ours, places, base)), their)


@pytest.mark.parametrize("base", [10000.0, 50.0])
def test_rotary_attention_against_llama(redraw, base):
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding

    config = LlamaConfig(
        hidden_size=24,
        num_attention_heads=3,
        num_key_value_heads=3,
        attention_bias=True,
        rope_parameters={"rope_type": "default", "rope_theta": base},
        attn_implementation="eager",
    )
    theirs = redraw(LlamaAttention(config, layer_idx=0)).double().eval()
    ours = RotaryAttention(24, 3, base).double()
    ours.load_state_dict(
        {
            # in each head, their channel i + d/2 is our channel 2i + 1
            f"{our}.{part}": neighbours(getattr(getattr(theirs, their), part)) if our in ("query", "key") else
            getattr(getattr(theirs, their), part)
            for our, their in [("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"), ("out", "o_proj")]
            for part in ("weight", "bias")
        }
    )  # fmt: skip
    x = draw(2, 5, 24)
    rotary = LlamaRotaryEmbedding(config)
    places = torch.arange(5)[None]
    causal = torch.ones(5, 5, dtype=torch.bool).tril()
    bias = torch.zeros(5, 5, dtype=F64).masked_fill(~causal, -math.inf)[None, None]
    assert_same(
        values_and_gradients(lambda t: ours(t, mask=causal), [x]),
        values_and_gradients(lambda t: theirs(t, position_embeddings=rotary(t, places), attention_mask=bias)[0], [x]),
        atol=1e-5,  # their frequencies are in float32
        rtol=1e-5,
    )


def neighbours(rows: torch.Tensor, heads: int = 3) -> torch.Tensor:
    """Reorder the rows of a projection, head by head, from pairs (i, i + d/2) to pairs of neighbours."""
    return rows.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)


@pytest.mark.parametrize("heads", [1, 2, 3, 5, 6, 8, 11, 12, 16, 20])
def test_alibi_against_bloom_and_falcon(heads):
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor

    n = 7
    theirs = build_alibi_tensor(torch.ones(1, n, dtype=torch.long), heads, torch.float32)  # [heads 1 n]
    torch.testing.assert_close(alibi_slopes(heads).float(), theirs[:, 0, 1])
    # theirs grows with the key's place, which under a causal mask differs from ours by a constant per row
    causal = torch.ones(n, n, dtype=torch.bool).tril()
    scores = draw(heads, n, n).float()
    ours, theirs = (
        (scores + bias).masked_fill(~causal, -math.inf).softmax(-1) for bias in (alibi_bias(heads, n), theirs)
    )
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("h", "w"), [(3, 5), (5, 3)])
def test_grid_against_timm(h, w):
    from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed

    # on each axis theirs has the sines before the cosines
    theirs = build_sincos2d_pos_embed([h, w], dim=12, temperature=50.0, interleave_sin_cos=True)
    rows, columns = sincos_2d(h, w, 12, base=50.0).chunk(2, dim=-1)
    torch.testing.assert_close(torch.cat([halves(rows), halves(columns)], dim=-1), theirs)


@pytest.mark.parametrize(("h", "w"), [(3, 5), (5, 3)])
def test_grid_against_vit_pytorch(h, w):
    from vit_pytorch.simple_vit import posemb_sincos_2d

    # theirs has the columns first and all sines before the cosines; its exponents i / (d/4 - 1) reach 1, ours
    # i / (d/4) do not, which is the same as another base
    d = 12
    base = 10000.0 ** ((d / 4) / (d / 4 - 1))
    rows, columns = sincos_2d(h, w, d, base).chunk(2, dim=-1)
    theirs = posemb_sincos_2d(h, w, d)
    torch.testing.assert_close(torch.cat([halves(columns), halves(rows)], dim=-1), theirs)


@pytest.mark.parametrize(("h", "w"), [(3, 5), (5, 3)])
def test_grid_against_transformers_mae(h, w):
    from transformers.models.vit_mae.modeling_vit_mae import build_2d_sinusoidal_position_embedding

    theirs = build_2d_sinusoidal_position_embedding(h, w, 12, temperature=50.0, dtype=F64)
    rows, columns = sincos_2d(h, w, 12, base=50.0, dtype=F64).chunk(2, dim=-1)
    torch.testing.assert_close(torch.cat([halves(rows), halves(columns)], dim=-1), theirs)


def test_fourier_features_are_a_complex_exponential():
    coords, waves = draw(2, 5, 3), draw(4, 3, seed=1)

    def complex_waves(v):
        wave = torch.polar(torch.ones(2, 5, 4, dtype=F64), 2 * math.pi * torch.einsum("bnc,mc->bnm", v, waves))
        return torch.cat([wave.real, wave.imag], dim=-1)

    assert_same(
        values_and_gradients(lambda v: fourier_features(v, waves), [coords]),
        values_and_gradients(complex_waves, [coords]),
    )


@pytest.mark.parametrize("new", [(7, 9), (9, 7), (2, 3)])
@pytest.mark.parametrize("antialias", [False, True])
def test_resizing_against_timm(new, antialias):
    from timm.layers import resample_abs_pos_embed

    table = draw(1, 2 + 4 * 5, 6).float()  # timm computes in float32
    assert_same(
        values_and_gradients(lambda t: resize_positions(t, (4, 5), new, n_prefix=2, antialias=antialias), [table]),
        values_and_gradients(
            lambda t: resample_abs_pos_embed(t, list(new), [4, 5], num_prefix_tokens=2, antialias=antialias),
            [table],
        ),
    )


@pytest.mark.parametrize("new", [(7, 9), (9, 7), (2, 3)])
def test_resizing_against_transformers_vit(redraw, new):
    from transformers import ViTConfig
    from transformers.models.vit.modeling_vit import ViTEmbeddings

    theirs = redraw(ViTEmbeddings(ViTConfig(image_size=8, patch_size=2, hidden_size=6, num_attention_heads=1)))
    height, width = 2 * new[0], 2 * new[1]
    wanted = theirs.interpolate_pos_encoding(torch.zeros(1, 1 + new[0] * new[1], 6), height, width)
    torch.testing.assert_close(resize_positions(theirs.position_embeddings, (4, 4), new), wanted)


@pytest.mark.parametrize("causal", [False, True])
def test_a_transformer_without_positions_against_torch(redraw, causal):
    layer = torch.nn.TransformerEncoderLayer(
        12, 3, 48, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    theirs = redraw(
        torch.nn.TransformerEncoder(layer, 2, norm=torch.nn.LayerNorm(12), enable_nested_tensor=False)
    ).double()
    ours = Transformer(5, 12, 2, 3, "none", causal=causal).double()
    state = {"norm.weight": theirs.norm.weight, "norm.bias": theirs.norm.bias}
    for i, block in enumerate(theirs.layers):
        for part in ("weight", "bias"):
            parts = getattr(block.self_attn, f"in_proj_{part}").chunk(3)
            for name, value in zip(("query", "key", "value"), parts, strict=True):
                state[f"blocks.{i}.attn.{name}.{part}"] = value
            state[f"blocks.{i}.attn.out.{part}"] = getattr(block.self_attn.out_proj, part)
            for our, their in [
                ("norm1", "norm1"),
                ("norm2", "norm2"),
                ("mlp.0", "linear1"),
                ("mlp.2", "linear2"),
            ]:
                state[f"blocks.{i}.{our}.{part}"] = getattr(getattr(block, their), part)
    ours.load_state_dict(state)
    hidden = torch.ones(5, 5, dtype=torch.bool).triu(1) if causal else None  # torch: True may not be attended to
    x = [draw(2, 5, 12)]
    assert_same(values_and_gradients(ours, x), values_and_gradients(lambda t: theirs(t, mask=hidden), x))


def test_rope_and_alibi_in_a_transformer_one_pair_of_tokens_at_a_time(redraw):
    for kind in ("rope", "alibi"):
        model = redraw(Transformer(5, 12, 1, 3, kind, causal=True)).double()
        block, x = model.blocks[0], draw(2, 5, 12)
        z = block.norm1(x)
        q, k, v = (t(z).unflatten(-1, (3, 4)) for t in (block.attn.query, block.attn.key, block.attn.value))
        out = torch.zeros(2, 5, 3, 4, dtype=F64)
        for h in range(3):
            for i in range(5):
                scores = []
                for j in range(i + 1):
                    if kind == "rope":
                        moved = torch.view_as_complex(k[:, j, h].reshape(2, 2, 2)) * torch.exp(
                            1j * torch.tensor([float(j - i), (j - i) / 100.0], dtype=F64)
                        )
                        scores.append((q[:, i, h] * torch.view_as_real(moved).flatten(1)).sum(-1) / 2)
                    else:
                        slope = [1 / 16, 1 / 256, 1 / 4][h]
                        scores.append((q[:, i, h] * k[:, j, h]).sum(-1) / 2 - slope * (i - j))
                weights = F.softmax(torch.stack(scores, -1), -1)
                out[:, i, h] = torch.einsum("bj,bje->be", weights, v[:, : i + 1, h])
        y = x + block.attn.out(out.flatten(2))
        torch.testing.assert_close(model(x), model.norm(y + block.mlp(block.norm2(y))))
