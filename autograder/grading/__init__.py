"""The way of a submission, one file a step: collect, prepare, run, report, feedback, export; `grade` walks it."""

import importlib
import sys

if "jsonschema" not in sys.modules:
    # At its import jsonschema compiles grammars of a format that notebooks do not have, for longer than a submission
    # takes. Without the module that holds them it leaves the format out.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    try:
        importlib.import_module("jsonschema")
    finally:
        if sys.modules["rfc3987_syntax"] is None:
            del sys.modules["rfc3987_syntax"]
