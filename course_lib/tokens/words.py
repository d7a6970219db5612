"""GPT-2's way of cutting a text into words before byte-pair encoding (Radford et al. 2019, section 2.2)."""

import re
import unicodedata
from functools import cache


def split_words(text: str) -> list[str]:
    r"""Cut a text into words, numbers, punctuation and white space; joined again they are the text.

    A word keeps the one space before it: "Once upon a time" -> ["Once", " upon", " a", " time"]. The rule is
    GPT-2's `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`, with letters and
    numbers as this Python's version of Unicode has them (`unicodedata.unidata_version`).
    """
    return _pattern().findall(text)


@cache
def _pattern() -> re.Pattern[str]:
    # `re` knows no \p{..}, its \w holds the underscore, and its \s holds four control characters which
    # Unicode does not call white space
    letter, number = _ranges("L"), _ranges("N")
    space, not_space = r"[^\S\x1c-\x1f]", r"[\S\x1c-\x1f]"
    other = r"(?:[^\w\s]|[_\x1c-\x1f])"
    return re.compile(rf"'(?:[stmd]|re|ve|ll)| ?[{letter}]+| ?[{number}]+| ?{other}+|{space}+(?!{not_space})|{space}+")


def _ranges(kind: str) -> str:
    """All characters whose general category begins with `kind`, as the inside of a character class."""
    runs: list[list[int]] = []
    for code in range(0x110000):
        # \w, which `isalnum` is but for the underscore, holds both letters and numbers: most codes end here
        if chr(code).isalnum() and unicodedata.category(chr(code))[0] == kind:
            if runs and runs[-1][1] == code - 1:
                runs[-1][1] = code
            else:
                runs.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in runs)
