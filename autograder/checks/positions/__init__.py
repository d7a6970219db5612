"""The checks of the positions assignment."""

# the exercises in the order in which the assignment asks for them, and the module that checks each
EXERCISES = {
    "sinusoidal": "sinusoidal",
    "shift_matrix": "shift_matrix",
    "LearnedPositions": "learned_positions",
    "rope": "rope",
    "alibi_bias": "alibi_bias",
    "sincos_2d": "sincos_2d",
    "fourier_features": "fourier_features",
    "resize_positions": "resize_positions",
    "RotaryAttention": "rotary_attention",
}
