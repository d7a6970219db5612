"""Text from a student made harmless: no control characters, no reordering, no towers of accents, and not too much."""

from __future__ import annotations

import re

TAB_AND_NEWLINE = "\t\n"
MAX_COLOURS = 500  # nbconvert copies the rest of the text at each change of colour
MAX_MARKS = 4

# What a terminal understands: colour sequences end in "m"; others move the cursor or name a link.
CONTROL_SEQUENCE = re.compile(r"\x1b\[([0-9:;<=>?]{0,40})[ -/]{0,4}([@-~])|\x1b\][^\x07\x1b]{0,2000}(?:\x07|\x1b\\)")
# Colours of text, bold and underlined, and back to normal. Not backgrounds nor inversion, with which a text could be
# painted like a page's own parts; not half of a sequence (38 without a colour stops nbconvert).
COLOUR = r"(?:0?[0-1]|4|22|24|3[0-7]|39|9[0-7]|38;5;(?:\d\d?|1\d\d|2[0-4]\d|25[0-5]))?"
COLOURS = re.compile(rf"{COLOUR}(?:;{COLOUR}){{0,5}}")
REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
MARKS = "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
TOWER = re.compile(rf"({MARKS}{{{MAX_MARKS}}}){MARKS}+")
LINE_ENDS = re.compile("\r\n|[\u2028\u2029\x85]")
SURROGATE = re.compile("[\ud800-\udfff]")

VISIBLE = {code: 0x2400 + code for code in range(0x20) if chr(code) not in TAB_AND_NEWLINE}
VISIBLE[0x7F] = 0x2421
UNPRINTABLE = {code: 0xFFFD for code in (*range(0x80, 0xA0), *range(0xFDD0, 0xFDF0))}
UNPRINTABLE |= {plane << 16 | last: 0xFFFD for plane in range(17) for last in (0xFFFE, 0xFFFF)}


def as_text(value: object) -> str:
    """`value` if it is text, the joined lines if it is a list of them, else nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return "".join(line for line in value if isinstance(line, str))
    return ""


def printable(text: str) -> str:
    """Plain text without anything that acts: controls become signs, reordering is named, accents do not pile up.

    Ordinary text, in whatever writing, comes back as it is.
    """
    if text.isascii() and text.isprintable():
        return text
    text = LINE_ENDS.sub("\n", SURROGATE.sub("\ufffd", text))
    text = REORDERING.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)
    return TOWER.sub(r"\1", text).translate(VISIBLE).translate(UNPRINTABLE)


def terminal(text: str) -> str:
    """What a program printed, as `printable` text with its colours, as ``ESC[...m``, where they are ones to keep.

    A line that was overwritten after a carriage return, as progress bars do it, is shown as it was last.
    """
    if text.isascii() and text.isprintable():
        return text
    text = LINE_ENDS.sub("\n", text)
    if "\r" in text:
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    parts, at, colours = [], 0, 0
    for found in CONTROL_SEQUENCE.finditer(text):
        parts.append(printable(text[at : found.start()]))
        at = found.end()
        if found[2] == "m" and COLOURS.fullmatch(found[1]) and colours < MAX_COLOURS:
            parts.append(f"\x1b[{found[1]}m")
            colours += 1
    parts.append(printable(text[at:]))
    return "".join(parts)


def cut(text: str, room: int, limit: str = "") -> str:
    """The first `room` bytes of the text, with a notice of how many characters more there were.

    `limit` says in the notice what the limit is, if that is not the room itself ("100,000 bytes for a cell").
    """
    if len(text) <= room and (text.isascii() or size(text) <= room):
        return text
    room = max(0, room)
    kept = text[:room].encode("utf-8", "replace")[:room].decode("utf-8", "ignore")
    return f"{kept}\n… cut: {len(text) - len(kept):,} more characters; the limit is {limit or f'{room:,} bytes'}.\n"


def size(text: str) -> int:
    """How many bytes the text takes in a file."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
