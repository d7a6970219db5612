"""The checks of the siren assignment."""

# the exercises in the order in which the assignment asks for them, and the module that checks each
EXERCISES = {
    "coordinate_grid": "coordinate_grid",
    "siren_bound": "siren_bound",
    "SineLayer": "sine_layer",
    "Siren": "siren",
    "gradient": "gradient",
    "laplacian": "laplacian",
    "poisson_loss": "poisson_loss",
    "sdf_loss": "sdf_loss",
    "psnr": "psnr",
}
