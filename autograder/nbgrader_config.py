"""What every course folder's nbgrader_config.py has in common, so that nbgrader's own commands work there too."""

from __future__ import annotations

from pathlib import Path

# Longer than a check can take: each of its cases has a limit of its own.
CELL_TIMEOUT = 120
STUB = "# YOUR CODE HERE\nraise NotImplementedError('Write your answer here.')"


def configure(c, root: str | Path) -> None:
    """Fill nbgrader's configuration object `c` for the course folder `root`."""
    from nbconvert.preprocessors import ClearMetadataPreprocessor, CSSHTMLHeaderPreprocessor
    from nbgrader.preprocessors import (
        AssignLatePenalties,
        CheckCellMetadata,
        ClearOutput,
        DeduplicateIds,
        Execute,
        GetGrades,
        IgnorePattern,
        LimitOutput,
        OverwriteCells,
        OverwriteKernelspec,
        SaveAutoGrades,
    )

    from autograder.course import put_environment_on_path
    from autograder.grading.rebuild.steps import QuietTests, RestoreCells
    from autograder.grading.reports.pages import PlaceMathJax, template_config
    from autograder.grading.sanitise.plain import SanitiseOutputs

    put_environment_on_path()
    root = Path(root).resolve()
    c.CourseDirectory.root = str(root)
    # Two graders and formgrader write to one file: wait for the lock instead of failing at once.
    c.CourseDirectory.db_url = f"sqlite:///{root / 'gradebook.db'}?timeout=60"
    c.CourseDirectory.course_id = "transformers"
    c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", "feedback"]
    c.ClearSolutions.code_stub = {"python": STUB}
    c.ClearSolutions.text_stub = "*Your answer here.*"
    c.Execute.timeout = CELL_TIMEOUT
    c.Execute.startup_timeout = 180
    c.Execute.kernel_name = "python3"
    c.OverwriteCells.add_missing_cells = True
    c.LimitOutput.max_lines = 200
    # RestoreCells goes first: without it a copied cell or a foreign schema version stops nbgrader,
    # and a tag on a test cell can buy full marks.
    c.Autograde.sanitize_preprocessors = [
        RestoreCells,
        ClearOutput,
        DeduplicateIds,
        OverwriteKernelspec,
        OverwriteCells,
        CheckCellMetadata,
    ]
    c.Autograde.autograde_preprocessors = [
        Execute,
        QuietTests,
        IgnorePattern,
        ClearMetadataPreprocessor,
        LimitOutput,
        SaveAutoGrades,
        AssignLatePenalties,
        # what people look at afterwards is harmless; scores were read before it
        SanitiseOutputs,
        CheckCellMetadata,
    ]
    c.SanitiseOutputs.release = str(root / "release")
    # Pages load nothing from outside: formulas are set by a MathJax that is on this machine.
    c.HTMLExporter.update(template_config().HTMLExporter)
    c.GenerateFeedback.preprocessors = [GetGrades, CSSHTMLHeaderPreprocessor, PlaceMathJax]
    c.PlaceMathJax.feedback = str(root / "feedback")


FILE = '''"""nbgrader's configuration of this course. Yours to edit: it is written once and then left alone."""

from pathlib import Path

from autograder.nbgrader_config import configure

c = get_config()  # noqa: F821 - given by nbgrader
configure(c, root=Path(__file__).parent)
'''


def course_file(db: str | None) -> str:
    """The text of a new course folder's nbgrader_config.py."""
    return FILE + (f"c.CourseDirectory.db_url = {db!r}\n" if db else "")
