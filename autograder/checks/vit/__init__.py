"""The checks of the vit assignment."""

# the exercises in the order in which the assignment asks for them, and the module that checks each
EXERCISES = {
    "prepend_cls": "prepend_cls",
    "ViT": "vit",
    "pool": "pool",
    "cls_attention_maps": "cls_attention_maps",
    "attention_rollout": "attention_rollout",
    "mask_from_attention": "mask_from_attention",
    "warmup_cosine": "warmup_cosine",
    "evaluate": "evaluate",
}
