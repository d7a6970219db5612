"""The result files that are shipped with the book, and the recipes that make them, run as commands."""

import json
import subprocess
import sys
from pathlib import Path

SHIPPED = Path(__file__).parents[2] / "book" / "results"


def shipped(name: str) -> dict:
    """The result that the book shows."""
    return json.loads((SHIPPED / f"{name}.json").read_text())


def keys(value: object) -> object:
    """The names in a result, without its figures: what a chapter relies on."""
    return {k: keys(v) for k, v in value.items()} if isinstance(value, dict) else None


def run_recipe(name: str, *words: object, processes: int = 0) -> subprocess.CompletedProcess:
    """Run a recipe as its reader would, in so many processes of one team if asked; it must end well."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes else []
    command = [sys.executable, *launcher, "-m", f"course_lib.recipes.{name}", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done
