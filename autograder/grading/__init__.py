"""The way of a submission, one package a step.

`intake` puts what was handed in into submitted/, `rebuild` makes notebooks of it that can be run, `run` grades a class,
`sanitise` makes harmless what people will see, `gradebook` writes it, and `reports` tells students and instructors.
"""

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
