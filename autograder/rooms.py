"""The six rooms of the course in order, and the modules of `course_lib` that hold each one's references."""

from __future__ import annotations

REFERENCES: dict[str, tuple[str, ...]] = {
    "tokens": ("tokens",),
    "attention": ("attention", "fused_block", "set_task"),
    "positions": ("positions", "transformer"),
    "vit": ("vit", "schedule"),
    "gpt": (
        "gpt", "generation", "sampling", "kv_cache", "encoder_decoder", "decoding", "accounting", "alignment", "bleu",
        "ngrams",
    ),
    "siren": ("siren", "field_baselines", "field_calculus", "field_losses"),
}  # fmt: skip
ASSIGNMENTS = tuple(REFERENCES)


def before(assignment: str) -> tuple[str, ...]:
    """The modules of the rooms before `assignment`; raises ValueError for an unknown one."""
    if assignment not in REFERENCES:
        raise ValueError(f"no assignment is called {assignment!r}; there are: {', '.join(ASSIGNMENTS)}")
    rooms = ASSIGNMENTS[: ASSIGNMENTS.index(assignment)]
    return tuple(module for room in rooms for module in REFERENCES[room])
