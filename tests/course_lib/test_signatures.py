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
    "tokens": """
        patchify(images, patch) unpatchify(tokens, patch, image_size) PatchEmbed(image_size, patch, in_channels, dim)
        merge_pair(ids, pair, new_id) train_bpe(data, merges) BPETokenizer(merges) mix_tokens(tokens, weights)
        conv_mixing_matrix(n, kernel, stride=1) TokenMLP(dim, hidden) as_conv1x1(mlp)
    """,
    "positions": """
        sinusoidal(n, dim, base=10000.0) shift_matrix(offset, dim, base=10000.0) LearnedPositions(max_len, dim)
        rope(x, positions, base=10000.0) alibi_bias(heads, n) sincos_2d(h, w, dim) fourier_features(coords, B)
        resize_positions(table, old_hw, new_hw, n_prefix=1) RotaryAttention(dim, heads, base=10000.0)
    """,
    "vit": """
        prepend_cls(tokens, cls) ViT(image_size, patch, in_channels, classes, dim, depth, heads) pool(tokens, how)
        cls_attention_maps(attn, grid) attention_rollout(attns) mask_from_attention(map, keep=0.6)
        warmup_cosine(step, warmup, total, peak, floor=0.0) evaluate(model, batches)
    """,
    "gpt": """
        causal_mask(n, past=0) next_token_batch(data, block, starts) lm_loss(logits, targets, ignore_index=-100)
        GPT(vocab, block, dim, depth, heads) next_token_probs(logits, temperature=1.0, top_k=None, top_p=None)
        generate(model, ids, n, generator=None) KVCache() DecoderBlock(dim, heads)
        count_parameters(vocab, block, dim, depth, heads)
    """,
    "siren": """
        coordinate_grid(h, w) siren_bound(fan_in, omega, first) SineLayer(fan_in, fan_out, omega=30.0, first=False)
        Siren(in_features, hidden, depth, out_features, omega=30.0) gradient(y, x) laplacian(y, x)
        poisson_loss(model, coords, target_gradient) sdf_loss(model, on_surface, normals, off_surface)
        psnr(a, b, data_range=1.0)
    """,
}
PROMISED = [
    (room, promise + ")")
    for room, text in ROOMS.items()
    for promise in " ".join(text.split()).replace(") ", ")").removesuffix(")").split(")")
]


@pytest.mark.parametrize(("room", "promise"), PROMISED)
def test_the_reference_keeps_the_promised_signature(room, promise):
    name, wanted = promise.rstrip(")").split("(")
    signature = inspect.signature(getattr(importlib.import_module(f"course_lib.{room}"), name))
    found = [
        parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default!r}"
        for parameter in signature.parameters.values()
    ]
    wanted = wanted.split(", ") if wanted else []
    assert found[: len(wanted)] == wanted
    # what comes on top must be optional, so that the promised call works
    extra = list(signature.parameters.values())[len(wanted) :]
    assert all(p.default is not p.empty or p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in extra)
