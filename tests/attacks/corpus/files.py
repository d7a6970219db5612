"""What lies beside the notebook, or in its place."""

from __future__ import annotations

from tests.attacks.attack import Attack, File, Folder, Handed, Item, Link, Pipe, Sparse, either, person, safe
from tests.attacks.kit import Kit
from tests.attacks.making import Make

ODD = person("link", "device", "file", "notebook")
PAGE = "<script>fetch('/formgrader/api/students').then(pwned)</script>"
STOLEN = """
import pathlib

pathlib.Path("@HOME@/pwned").write_text("pwned")
raise ImportError("pwned")
"""


def beside(name: str, *more: Item) -> Make:
    """A right notebook in a folder of the student's, and something beside it."""

    def make(kit: Kit) -> Handed:
        filled = [
            File(f"{name}/{item.path}", kit.fill(item.content))
            if isinstance(item, File) and isinstance(item.content, str)
            else type(item)(**(vars(item) | {"path": f"{name}/{item.path}"} | targets(item, kit)))
            for item in more
        ]
        return [File(f"{name}/attention.ipynb", kit.text()), *filled]

    return make


def targets(item: Item, kit: Kit) -> dict[str, str]:
    return {"target": kit.fill(item.target)} if isinstance(item, Link) else {}


def instead(item: Item) -> Make:
    def make(kit: Kit) -> Handed:
        return [type(item)(**(vars(item) | targets(item, kit)))]

    return make


# Files beside the notebook may be left out or be shown to the student's own code: neither may do harm.
LEFT_OUT = either("file", "link", "folder", "beside")

ATTACKS = [
    Attack(
        "link-to-secret",
        "a link to a secret in place of the notebook",
        instead(Link("link-to-secret.ipynb", "@SECRET_FILE@")),
        ODD,
    ),
    Attack(
        "link-to-source",
        "a link to the assignment's solution",
        instead(Link("link-to-source.ipynb", "@COURSE@/source/attention/attention.ipynb")),
        ODD,
    ),
    Attack(
        "link-to-neighbour",
        "a link to another student's work",
        instead(Link("link-to-neighbour.ipynb", "@COURSE@/submitted/honest-1/attention/attention.ipynb")),
        ODD,
    ),
    Attack("link-to-nothing", "a link that leads nowhere", instead(Link("link-to-nothing.ipynb", "/nowhere")), ODD),
    Attack("link-to-itself", "a link to itself", instead(Link("link-to-itself.ipynb", "link-to-itself.ipynb")), ODD),
    Attack("link-to-zeros", "a link to endless zeros", instead(Link("link-to-zeros.ipynb", "/dev/zero")), ODD),
    Attack("pipe", "a named pipe in place of the notebook", instead(Pipe("pipe.ipynb")), ODD),
    Attack(
        "folder-as-notebook",
        "a folder with a notebook's name",
        beside("folder-as-notebook", Folder("other.ipynb")),
        LEFT_OUT,
    ),
    Attack("pipe-beside", "a named pipe beside it", beside("pipe-beside", Pipe("data.csv")), LEFT_OUT),
    Attack(
        "link-beside",
        "a link to a secret beside it",
        beside("link-beside", Link("data.csv", "@SECRET_FILE@")),
        LEFT_OUT,
    ),
    Attack(
        "link-to-course-beside",
        "a link to the course beside it",
        beside("link-to-course-beside", Link("data", "@COURSE@")),
        LEFT_OUT,
    ),
    Attack(
        "terabyte-beside", "a file of 1 TB beside it", beside("terabyte-beside", Sparse("data.bin", 1 << 40)), LEFT_OUT
    ),
    Attack("torch-beside", "a module torch.py beside it", beside("torch-beside", File("torch.py", STOLEN)), LEFT_OUT),
    Attack(
        "sitecustomize-beside",
        "a module that Python starts with",
        beside("sitecustomize-beside", File("sitecustomize.py", STOLEN), File("usercustomize.py", STOLEN)),
        LEFT_OUT,
    ),
    Attack(
        "autograder-beside",
        "a package autograder of one's own",
        beside(
            "autograder-beside",
            File("autograder/__init__.py", ""),
            File("autograder/check.py", "def check(*a):\n    return 5.0"),
            File("autograder/probe.py", STOLEN),
        ),
        LEFT_OUT,
    ),
    Attack(
        "config-beside",
        "configurations of nbgrader and IPython beside it",
        beside(
            "config-beside",
            File("nbgrader_config.py", STOLEN),
            File("ipython_config.py", STOLEN),
            File("jupyter_nbconvert_config.py", STOLEN),
        ),
        LEFT_OUT,
    ),
    Attack(
        "stdlib-beside",
        "modules json.py, random.py, signal.py and struct.py beside it",
        beside(
            "stdlib-beside", *[File(f"{name}.py", STOLEN) for name in ("json", "random", "signal", "struct", "socket")]
        ),
        LEFT_OUT,
    ),
    Attack(
        "pages-beside",
        "pages with scripts beside it, for whoever opens them in formgrader",
        beside(
            "pages-beside",
            File("plot.html", PAGE),
            File("plots/PLOT.HTM", PAGE),
            File("plot.xhtml", f'<html xmlns="http://www.w3.org/1999/xhtml">{PAGE}</html>'),
            File("plot.svg", f'<svg xmlns="http://www.w3.org/2000/svg">{PAGE}</svg>'),
            File("plot.xml", f'<p xmlns="http://www.w3.org/1999/xhtml">{PAGE}</p>'),
        ),
        safe(),
    ),
    Attack(
        "helper-beside",
        "a helper module that is not imported",
        beside("helper-beside", File("helper.py", "x = 1\n")),
        LEFT_OUT,
    ),
]
