"""Widgets that compute in the browser: alive in the built book without a kernel, and in JupyterLab."""

from course_lib.widgets.alibi_heads import AlibiHeads
from course_lib.widgets.attention_plane import AttentionPlane
from course_lib.widgets.bpe_merges import BPEMerges
from course_lib.widgets.cache_steps import CacheSteps
from course_lib.widgets.field_zoom import FieldZoom
from course_lib.widgets.gram_clusters import GramClusters
from course_lib.widgets.masked_attention_map import MaskedAttentionMap
from course_lib.widgets.mixing_matrix import MixingMatrix
from course_lib.widgets.next_token import NextToken
from course_lib.widgets.patch_attention import PatchAttention, RolloutMask
from course_lib.widgets.patch_tokens import PatchTokens
from course_lib.widgets.random_siren import RandomSiren
from course_lib.widgets.rotary_distance import RotaryDistance

__all__ = [
    "AlibiHeads", "AttentionPlane", "BPEMerges", "CacheSteps", "FieldZoom", "GramClusters", "MaskedAttentionMap",
    "MixingMatrix", "NextToken", "PatchAttention", "PatchTokens", "RandomSiren", "RolloutMask", "RotaryDistance",
]  # fmt: skip
