"""Tokens: anything chopped into pieces and projected to vectors, and nets that act on such bundles.

`patches` cuts images, `bpe` text (`words` and `gpt2` as GPT-2 does it), `anything` puts both and more
behind one interface; `mixing` combines tokens, and `nets` builds networks of that.
"""

from course_lib.tokens.anything import (
    AudioTokenizer,
    ImageTokenizer,
    PointCloudTokenizer,
    TextTokenizer,
    Tokenizer,
    farthest_points,
)
from course_lib.tokens.bpe import BPETokenizer, merge_pair, train_bpe, train_bpe_on_words
from course_lib.tokens.gpt2 import GPT2Tokenizer, read_merges, write_merges
from course_lib.tokens.mixing import (
    Mixing,
    conv2d_mixing_matrix,
    conv_mixing_matrix,
    mix_tokens,
    pyramid_mixing_matrix,
    ways_of_mixing,
)
from course_lib.tokens.nets import MixerBlock, MLPMixer, TokenMLP, TokenNet, as_conv1x1
from course_lib.tokens.patches import PatchEmbed, patchify, unpatchify
from course_lib.tokens.words import split_words

__all__ = [
    "AudioTokenizer",
    "BPETokenizer",
    "GPT2Tokenizer",
    "ImageTokenizer",
    "MLPMixer",
    "Mixing",
    "MixerBlock",
    "PatchEmbed",
    "PointCloudTokenizer",
    "TextTokenizer",
    "TokenMLP",
    "TokenNet",
    "Tokenizer",
    "as_conv1x1",
    "conv2d_mixing_matrix",
    "conv_mixing_matrix",
    "farthest_points",
    "merge_pair",
    "mix_tokens",
    "patchify",
    "pyramid_mixing_matrix",
    "read_merges",
    "split_words",
    "train_bpe",
    "train_bpe_on_words",
    "unpatchify",
    "ways_of_mixing",
    "write_merges",
]
