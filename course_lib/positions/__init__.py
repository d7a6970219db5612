"""Positional encoding: tables that are added to tokens, and rotations and biases inside attention."""

from course_lib.positions.places import PlaceVectors, grid_places
from course_lib.positions.relative import RotaryAttention, alibi_bias, alibi_slopes, rope
from course_lib.positions.tables import (
    LearnedPositions,
    fourier_features,
    resize_positions,
    shift_matrix,
    sincos_2d,
    sinusoidal,
    wave_angles,
)

__all__ = [
    "LearnedPositions",
    "PlaceVectors",
    "RotaryAttention",
    "alibi_bias",
    "alibi_slopes",
    "fourier_features",
    "grid_places",
    "resize_positions",
    "rope",
    "shift_matrix",
    "sincos_2d",
    "sinusoidal",
    "wave_angles",
]
