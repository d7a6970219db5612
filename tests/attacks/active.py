"""What on a page would act: scripts, handlers and addresses that carry the mark which all payloads bear."""

from __future__ import annotations

import re
from pathlib import Path

from bleach._vendor import html5lib  # parses as browsers do; nbconvert brings it along

MARK = "pwned"
HTML = "{http://www.w3.org/1999/xhtml}"
DATA_TYPES = ("json", "template", "plain")
LOADS = {"iframe", "object", "embed", "link", "base", "meta", "form", "frame", "frameset", "applet", "portal"}
INERT = {".ipynb", ".txt", ".csv", ".json", ".py", ".md", ".png"}  # no browser runs what is in these
ADDRESSES = {"href", "src", "action", "formaction", "data", "srcdoc", "content", "ping", "poster", "background"}


def active_content(page: str) -> list[str]:
    """A short description of each thing on the page that acts and bears the mark; empty if there is none."""
    tree = html5lib.parse(page, treebuilder="etree", namespaceHTMLElements=True)
    found = set()
    for element in tree.iter():
        if not isinstance(element.tag, str):
            continue  # a comment
        name = element.tag.rpartition("}")[2].lower()
        attributes = {key.rpartition("}")[2].lower(): value for key, value in element.attrib.items()}
        if name == "script" and MARK in "".join(element.itertext()) and not is_data(attributes.get("type", "")):
            found.add("script")
        if name == "style" and MARK in "".join(element.itertext()):
            found.add("style")
        for key, value in attributes.items():
            if MARK not in value:
                continue
            address = re.sub(r"[\x00-\x20]", "", value).lower()
            if key.startswith("on") or name in LOADS or (key == "style" and "url(" in address):
                found.add(f"{name}[{key}]")
            elif key in ADDRESSES and address.startswith(("javascript:", "data:text/html", "vbscript:")):
                found.add(f"{name}[{key}]")
    return sorted(found)


def copied_pages(course: Path, assignment: str) -> list[str]:
    """Students' files with the mark where formgrader serves them, but for those that a browser shows as text."""
    return sorted(
        str(path.relative_to(course))
        for kind in ("autograded", "feedback")
        for path in course.glob(f"{kind}/*/{assignment}/**/*")
        if path.is_file() and path.suffix.lower() not in INERT and path.name != f"{assignment}.html"
        and MARK.encode() in path.read_bytes()
    )  # fmt: skip


def is_data(kind: str) -> bool:
    return any(word in kind for word in DATA_TYPES)
