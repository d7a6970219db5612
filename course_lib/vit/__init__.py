"""Vision Transformers: the model, looking at its attention, and what it takes to train and judge it."""

from course_lib.schedule import warmup_cosine
from course_lib.vit.evaluation import evaluate
from course_lib.vit.maps import attention_rollout, cls_attention_maps, mask_from_attention
from course_lib.vit.model import ViT
from course_lib.vit.pooling import pool, prepend_cls

__all__ = [
    "ViT",
    "attention_rollout",
    "cls_attention_maps",
    "evaluate",
    "mask_from_attention",
    "pool",
    "prepend_cls",
    "warmup_cosine",
]
