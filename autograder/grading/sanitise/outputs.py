"""A student's outputs made inert: plain text with colours, PNG and JPEG, and a line that says whose output it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode, from_dict

from autograder.grading.sanitise import text as texts
from autograder.grading.sanitise.images import FORMATS, NotAPicture, clean_image

# Stands above whatever a student's code shows, so that no output can pass for the grader's table.
LABEL = "Output of the student's code, not of the grader:\n"
MIME_TYPE = re.compile(r"[a-z0-9]{1,20}/[a-z0-9.+-]{1,60}")
MAX_COUNT = 1_000_000_000
SHORT = 2000
TRACEBACK_LINES = 200


@dataclass
class Budget:
    """How much of one notebook is shown: limits in bytes and pixels, and what is left of those for the notebook.

    One budget serves one notebook; `clean_outputs` and `clean_notebook` take from it.
    """

    text_per_output: int = 50_000
    text_per_cell: int = 100_000
    images_per_cell: int = 1_000_000
    outputs_per_cell: int = 200
    pixels_per_image: int = 8_000_000
    notebook: int = 5_000_000
    pixels: int = 40_000_000
    sources: int = 200_000
    rendered: int = 100_000

    def spend(self, amount: int) -> None:
        self.notebook = max(0, self.notebook - amount)


@dataclass
class Cell:
    """What is left for one cell's outputs."""

    budget: Budget
    text: int
    images: int

    def take_text(self, value: object, most: int | None = None) -> str:
        """A field's text, harmless and cut at what one output, this cell and the notebook may show."""
        text = texts.as_text(value)
        budget = self.budget
        room, limit = min(
            (budget.text_per_output if most is None else most, f"{most or budget.text_per_output:,} bytes"),
            (self.text, f"{budget.text_per_cell:,} bytes for a cell"),
            (budget.notebook, "that of the notebook"),
        )
        kept = texts.cut(text, room, limit)
        used = texts.size(kept)  # what is read counts, also where little of it is seen, as with progress bars
        kept = texts.terminal(kept)
        self.text = max(0, self.text - used)
        budget.spend(used)
        return kept

    def take_image(self, mime: str, data: str) -> str:
        """An image encoded anew; NotAPicture if it is none or too large for what is left."""
        room = min(self.images, self.budget.notebook)
        encoded, pixels = clean_image(mime, data, room, min(self.budget.pixels_per_image, self.budget.pixels))
        self.images = max(0, self.images - len(encoded))
        self.budget.pixels -= pixels
        self.budget.spend(len(encoded))
        return encoded


def clean_outputs(outputs: list[Any], budget: Budget) -> list[NotebookNode]:
    """Valid and inert outputs from what a student's process sent, under a line that says so.

    Args:
        outputs: nbformat-like dicts, of which nothing is taken for granted.
        budget: what may still be shown of the notebook; it is reduced by what these take.

    Text keeps its colours, PNG and JPEG are encoded anew; of everything else `text/plain` stands in, with a notice.
    No outputs give no outputs.
    """
    if not isinstance(outputs, (list, tuple)):
        return []
    cell = Cell(budget, budget.text_per_cell, budget.images_per_cell)
    cleaned: list[NotebookNode] = []
    for index, output in enumerate(outputs):
        if index >= budget.outputs_per_cell or cell.text <= 0 or budget.notebook <= 0:
            rest = len(outputs) - index
            cleaned.append(stream(f"… cut: {rest} more outputs; the limit of this cell or notebook is reached.\n"))
            break
        if isinstance(output, dict) and output.get("text") != LABEL:
            cleaned += clean_output(output, cell)
    return [stream(LABEL), *cleaned] if cleaned else []


def clean_output(output: dict[str, Any], cell: Cell) -> list[NotebookNode]:
    """One output made inert; an empty list if there is nothing in it to show."""
    match output.get("output_type"):
        case "stream":
            text = cell.take_text(output.get("text"))
            return [stream(text, "stderr" if output.get("name") == "stderr" else "stdout")] if text else []
        case "error":
            name, value = (cell.take_text(output.get(key), SHORT) for key in ("ename", "evalue"))
            return [made("error", ename=name or "Error", evalue=value, traceback=clean_traceback(output, cell))]
        case "display_data" | "execute_result" | "update_display_data" as kind:
            data = clean_bundle(output.get("data"), cell)
            metadata = picture_metadata(output.get("metadata"), data)
            if kind == "execute_result":
                count = clean_count(output.get("execution_count"))
                return [made(kind, data=data, metadata=metadata, execution_count=count)]
            return [made("display_data", data=data, metadata=metadata)]
    return []


def clean_traceback(output: dict[str, Any], cell: Cell) -> list[str]:
    lines = output.get("traceback")
    text = cell.take_text("\n".join(map(texts.as_text, lines)) if isinstance(lines, (list, tuple)) else lines)
    if not text:
        text = cell.take_text(": ".join(texts.as_text(output.get(key)) for key in ("ename", "evalue")), SHORT)
    return text.split("\n", TRACEBACK_LINES)


def clean_bundle(data: object, cell: Cell) -> dict[str, str]:
    """The text and the picture of a bundle of representations; the text says what was left out."""
    data = data if isinstance(data, dict) else {}
    kept: dict[str, str] = {}
    remarks = []
    for mime in FORMATS:
        if mime in data and not kept:
            try:
                kept[mime] = cell.take_image(mime, texts.as_text(data[mime]))
            except NotAPicture as reason:
                remarks.append(f"a picture is not shown: {reason}")
    text = cell.take_text(data.get("text/plain"))
    left_out = sorted(str(mime) for mime in list(data)[:50] if mime not in (*FORMATS, "text/plain"))
    if left_out:
        named = [mime for mime in left_out if MIME_TYPE.fullmatch(mime)][:3]
        remarks.append("not shown, because it could act on a reader's page: " + (", ".join(named) or "other content"))
    kept["text/plain"] = "\n".join(filter(None, [text, *(f"[{remark}]" for remark in remarks)]))
    return kept


def picture_metadata(metadata: object, data: dict[str, str]) -> dict[str, Any]:
    """The size that a picture is to be shown at and its description."""
    mime = next((mime for mime in FORMATS if mime in data), None)
    if mime is None:
        return {}
    given = metadata.get(mime) if isinstance(metadata, dict) else None
    given = given if isinstance(given, dict) else {}
    shown = {key: v for key in ("width", "height") if type(v := given.get(key)) is int and 0 < v <= 2000}
    return {mime: shown | {"alt": "Picture from the student's code"}}


def clean_count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < MAX_COUNT else None


def stream(text: str, name: str = "stdout") -> NotebookNode:
    return made("stream", name=name, text=text)


def made(output_type: str, **fields: Any) -> NotebookNode:
    """A valid output as it is: nbformat's own function validates at a hundred times the cost of all else here."""
    return from_dict({"output_type": output_type, **fields})
