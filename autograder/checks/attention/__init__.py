"""The checks of the attention assignment."""

# the exercises in the order in which the assignment asks for them, and the module that checks each
EXERCISES = {
    "softmax": "softmax",
    "attention_weights": "attention_weights",
    "attend": "attend",
    "gram_attention": "gram_attention",
    "split_heads": "split_heads",
    "MultiHeadAttention": "multi_head_attention",
    "LayerNorm": "layer_norm",
    "TransformerBlock": "transformer_block",
    "is_permutation_equivariant": "is_permutation_equivariant",
}
