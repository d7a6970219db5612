"""Widgets that compute in the browser: alive in the built book without a kernel, and in JupyterLab."""

from course_lib.widgets.alibi_heads import AlibiHeads
from course_lib.widgets.attention_plane import AttentionPlane
from course_lib.widgets.gram_clusters import GramClusters
from course_lib.widgets.masked_attention_map import MaskedAttentionMap
from course_lib.widgets.patch_attention import PatchAttention, RolloutMask
from course_lib.widgets.rotary_distance import RotaryDistance

__all__ = [
    "AlibiHeads",
    "AttentionPlane",
    "GramClusters",
    "MaskedAttentionMap",
    "PatchAttention",
    "RolloutMask",
    "RotaryDistance",
]
