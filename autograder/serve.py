"""JupyterLab on a course folder, with nbgrader's formgrader for marking by hand."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from autograder.course import Course, CourseError, put_environment_on_path
from autograder.grading.reports.pages import mathjax_folder


def serve(course: Course, port: int, browser: bool = True) -> int:
    """Run JupyterLab until it is stopped; returns its exit status. CourseError if it cannot start."""
    if not course.config_file.is_file():
        raise CourseError(f"{course.root} is not a course folder yet. Make it with `autograder release`.")
    with course.gradebook():
        put_environment_on_path()  # the gradebook opens, so formgrader will have one
    if not is_free(port):
        raise CourseError(f"Port {port} is in use. Choose another: autograder serve --port {port + 1}")
    page = f"http://localhost:{port}/formgrader"
    print(f"JupyterLab: http://localhost:{port}/lab    formgrader: {page}    stop with Ctrl-C", flush=True)
    # nbgrader reads the course's nbgrader_config.py from the folder that Jupyter runs in.
    command = [str(Path(sys.executable).parent / "jupyter"), "lab", f"--port={port}", "--port-retries=0"]
    command += [f"--ServerApp.root_dir={course.root}", f"--LabApp.default_url={'/formgrader' if browser else '/lab'}"]
    if mathjax := mathjax_folder():  # formgrader's pages load it from the server's own static files
        command.append(f"--ServerApp.extra_static_paths={[str(mathjax)]}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    if not browser:
        command.append("--no-browser")
    if course.db:
        command.append(f"--CourseDirectory.db_url={course.db}")
    try:
        return subprocess.run(command, cwd=course.root).returncode
    except FileNotFoundError as error:
        raise CourseError("JupyterLab is not installed here. Run: python3 autograder/environment.py") from error


def is_free(port: int) -> bool:
    """Whether nothing listens on this port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
