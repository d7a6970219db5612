"""Markdown from a student made inert in the pages of nbconvert and JupyterLab, and left alone if it is so already."""

from __future__ import annotations

import re
from collections.abc import Collection

from autograder.grading.sanitise.page import ACTIVE_MATHS, inspect
from autograder.grading.sanitise.text import cut, printable

MAX_BYTES = 30_000
# Beyond these the renderer itself may take seconds: such text is shown as it was typed.
MAX_RENDERED = 10_000
MAX_WORK = 1_000_000
ROUNDS = 4
JOINER = "\u2060"  # takes no room and is not seen, but ends whatever the sign before it would have begun
SHOWN_AS_TYPED = "*Shown as it was typed, because parts of it could act on a reader's page:*"
TOO_MUCH = "*Shown as it was typed, because it is too long or too intricate to be set:*"

TAG = re.compile(r"<(?!https?://[^\s<>\"']*>)(?=[A-Za-z/!?])")
TARGET = re.compile(r"\](?=[(:](?!\s*<?(?:https?://|mailto:|#)))")
FENCE = re.compile(r"^([ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t>]+)*)(`{3,}|~{3,})[^\n]*$", re.MULTILINE)
LONG_LINE = re.compile(r"[^\n]{300}(?=[^\n])")
# Formulas and references: for each of these a renderer may read all the rest.
SLOW = re.compile(r"\\\\[\[(]|\\begin\{|\]:")


def clean_markdown(source: str, attachments: Collection[str] = (), reserved: Collection[str] = ()) -> str:
    """The same text for a reader, without anything that acts: no HTML, images, or links but to https, http and mail.

    Args:
        source: a markdown cell's text.
        attachments: the names of attached pictures that may be shown.
        reserved: names of places on the page, which a heading must not take.

    What nbconvert's renderer makes of the result is checked against a list of tags, attributes and addresses. Where
    that cannot be reached by breaking single signs, the whole text is shown as a block of code.
    """
    source = cut(printable(source), MAX_BYTES)
    if len(source) > MAX_RENDERED or len(SLOW.findall(source)) * len(source) > MAX_WORK:
        return as_typed(source, TOO_MUCH)
    text = source
    for _ in range(ROUNDS):
        found, taken = inspect(text, attachments, reserved)
        if not found:
            return text
        mended = mend(text, found, attachments, taken)
        if mended == text:
            break
        text = mended
    return as_typed(source, SHOWN_AS_TYPED)


def mend(text: str, found: set[str], attachments: Collection[str], taken: Collection[str]) -> str:
    """The text with those signs broken that begin what was found."""
    if found & {"html", "link"}:
        text = TAG.sub("<" + JOINER, text)
    if "link" in found:
        text = TARGET.sub("]" + JOINER, text)
    if "image" in found:
        kept = "|".join(re.escape(name) for name in attachments)
        text = re.sub(rf"!\[(?![^\]\n]*\]\(attachment:(?:{kept})\))" if kept else r"!\[", "[image: ", text)
    if "maths" in found:
        text = ACTIVE_MATHS.sub(lambda _: "\\" + JOINER, text)
    if "language" in found:
        text = FENCE.sub(r"\1\2", text)
    for name in taken:
        written = re.escape(name).replace(r"\-", "[- ]")
        text = re.sub(written, lambda m: m[0][0] + JOINER + m[0][1:], text)
    return text


def as_typed(source: str, why: str) -> str:
    """The text as a block of code under a sentence, or, if even that is not inert, with every sign spelt out."""
    source = LONG_LINE.sub("\\g<0>\n", TARGET.sub("]" + JOINER, source))
    fence = "`" * (max(map(len, re.findall("`+", source)), default=2) + 1)
    fence = fence if len(fence) > 3 else "```"
    block = f"{why}\n\n{fence}\n{source}\n{fence}"
    if not inspect(block)[0]:
        return block
    return f"{why}\n\n" + re.sub(r"[^\w\s]", lambda sign: f"&#{ord(sign[0])};{JOINER}", source)
