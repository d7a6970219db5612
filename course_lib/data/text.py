"""Text: a corpus that every Python brings along, and some to download."""

import gzip
from pathlib import Path
from typing import Literal

from course_lib.data import catalogue
from course_lib.data.download import fetch
from course_lib.data.transfer import Progress

Language = Literal["de", "en", "fr"]


def python_reference() -> str:
    """English prose that is on every machine: what Python's `help()` knows about the language, 0.38 million characters.

    It is the text of the reference manual in the standard library's `pydoc_data.topics`, so it needs neither
    a network nor a further package. Topics are in alphabetical order, and a paragraph of more than 80
    characters is kept only where it comes first: a fifth of the text is repetition, and a test set cut from
    it would have been trained on. The text differs between versions of Python (3.11.7: 380,536 characters,
    103 different ones, SHA-256 7466c2b835f8c3430b2e6b02eb22b2c448400060d538d5992fe048763a1587f4), so a result
    obtained on it has to name the version. Raises ImportError where a distribution has left the module out.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as problem:
        raise ImportError(
            "This Python has been stripped of pydoc_data, the text of its manual; "
            "a Python from python.org, conda or a full Linux package has it."
        ) from problem
    seen: set[str] = set()
    kept = []
    for name in sorted(topics):
        for paragraph in topics[name].strip().split("\n\n"):
            if len(paragraph) <= 80 or paragraph not in seen:
                kept.append(paragraph)
            seen.add(paragraph)
    return "\n\n".join(kept) + "\n"


def tiny_shakespeare(*, progress: Progress | None = None) -> str:
    """Lines from Shakespeare's plays, 1,115,394 characters of which 65 are different, downloaded once (1 MB).

    Raises DownloadError as `fetch` does. Source: Karpathy's char-rnn, 2015; nanoGPT trains on its first
    nine tenths and validates on the last.
    """
    return fetch(catalogue.TINY_SHAKESPEARE, progress).read_bytes().decode("ascii")


def multi30k(
    split: Literal["train", "val", "test"],
    source: Language = "de",
    target: Language = "en",
    *,
    progress: Progress | None = None,
) -> list[tuple[str, str]]:
    """Descriptions of photographs as pairs of sentences in two languages, downloaded once (about 1 MB a pair).

    There are 29,000 pairs to train, 1,014 to validate and 1,000 to test (Flickr 2016), in the files' order,
    as raw text without white space at its ends. For non-commercial research and education. Raises ValueError
    for an unknown split or language, DownloadError as `fetch` does. Source: Elliott et al. 2016, task 1.
    """
    part = "test_2016_flickr" if split == "test" else split
    for language in (source, target):
        if (part, language) not in catalogue.MULTI30K:
            raise ValueError(
                f"Multi30k has no {split!r} in {language!r}: it has 'train', 'val' and 'test' in 'de', 'en' and 'fr'."
            )
    sides = [_lines(fetch(catalogue.MULTI30K[part, language], progress)) for language in (source, target)]
    return list(zip(*sides, strict=True))


def gpt2_vocabulary(*, progress: Progress | None = None) -> tuple[Path, Path]:
    """The two files of GPT-2's published byte-pair vocabulary, downloaded once (1.5 MB).

    Returns the paths of encoder.json, from each token's text to its id, and vocab.bpe, the merges in their
    order. Raises DownloadError as `fetch` does. Source: Radford et al. 2019.
    """
    return fetch(catalogue.GPT2_ENCODER, progress), fetch(catalogue.GPT2_MERGES, progress)


def _lines(path: Path) -> list[str]:
    text = gzip.decompress(path.read_bytes()).decode("utf-8")
    # str.splitlines would also cut at characters that stand inside a sentence
    return [line.strip() for line in text.removesuffix("\n").split("\n")]
