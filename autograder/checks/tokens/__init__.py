"""The checks of the tokens assignment."""

# the exercises in the order in which the assignment asks for them, and the module that checks each
EXERCISES = {
    "patchify": "patchify",
    "unpatchify": "unpatchify",
    "PatchEmbed": "patch_embed",
    "merge_pair": "merge_pair",
    "train_bpe": "train_bpe",
    "BPETokenizer": "bpe_tokenizer",
    "mix_tokens": "mix_tokens",
    "conv_mixing_matrix": "conv_mixing_matrix",
    "TokenMLP": "token_mlp",
}
