"""Training: one small loop for every model of the course, which can be interrupted, shared out and repeated."""

from course_lib.schedule import warmup_cosine
from course_lib.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from course_lib.training.groups import decay_groups
from course_lib.training.loop import train
from course_lib.training.order import batch_indices
from course_lib.training.precision import has_bf16, precision
from course_lib.training.processes import Team, best_device, current_team, team
from course_lib.training.progress import Progress, ProgressLine
from course_lib.training.record import Curve, read_curve
from course_lib.training.run import TrainingDiverged

__all__ = [
    "CheckpointError", "Curve", "Progress", "ProgressLine", "Team", "TrainingDiverged", "batch_indices",
    "best_device", "current_team", "decay_groups", "has_bf16", "load_checkpoint", "precision", "read_curve",
    "save_checkpoint", "team", "train", "warmup_cosine",
]  # fmt: skip
