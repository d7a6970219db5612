"""The way of a submission, one package a step.

`intake` puts what was handed in into submitted/, `rebuild` makes notebooks of it that can be run, `run` grades a class,
`sanitise` makes harmless what people will see, `gradebook` writes it, and `reports` tells students and instructors.
"""

import importlib
import sys

# what jsonschema checks formats with, such as colours and durations, which notebooks do not have
FORMATS = (
    "fqdn", "isoduration", "rfc3339_validator", "rfc3986_validator", "rfc3987", "rfc3987_syntax", "uri_template",
    "webcolors",
)  # fmt: skip

if "jsonschema" not in sys.modules:
    # At its import it loads these and compiles grammars, for longer than a submission takes. It does without those
    # that are not there.
    hidden = [name for name in FORMATS if sys.modules.setdefault(name, None) is None]  # type: ignore[arg-type]
    try:
        importlib.import_module("jsonschema")
    finally:
        for name in hidden:
            del sys.modules[name]
