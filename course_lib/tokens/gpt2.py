"""GPT-2's published tokenizer, read from the files that OpenAI and Hugging Face give away."""

import json
from functools import cache
from pathlib import Path

from course_lib.tokens.bpe import BPETokenizer, Pair
from course_lib.tokens.words import split_words

END_OF_TEXT = "<|endoftext|>"


class GPT2Tokenizer(BPETokenizer):
    """GPT-2's ids and merges: bytes are numbered in an order of their own, merges follow, specials come last.

    `vocab_bpe` lists one merge a line and `encoder_json` gives the id of each token, both spelled with a
    printable character for every byte. Special tokens are ids without a merge: `encode` never makes one from
    text (append `end_of_text` yourself), `decode` spells them out. Raises ValueError if the files are not of
    this format or do not belong together.
    """

    def __init__(self, vocab_bpe: str | Path, encoder_json: str | Path) -> None:
        merges = read_merges(Path(vocab_bpe).read_text(encoding="utf-8"))
        super().__init__(merges, split=split_words)
        published: dict[str, int] = json.loads(Path(encoder_json).read_text(encoding="utf-8"))
        spelling = {byte: character for character, byte in byte_of_character().items()}
        spelled = {"".join(spelling[byte] for byte in token): i for i, token in self.vocab.items()}
        if missing := spelled.keys() - published.keys():
            raise ValueError(f"{encoder_json} lacks {len(missing)} tokens of {vocab_bpe}, such as {min(missing)!r}.")
        self.published = {i: published[token] for token, i in spelled.items()}
        self.special = {token: i for token, i in published.items() if token not in spelled}
        self.end_of_text = self.special.get(END_OF_TEXT)
        self.vocab = {self.published[i]: token for i, token in self.vocab.items()}
        self.vocab |= {i: token.encode() for token, i in self.special.items()}
        if len(self.vocab) != len(published):
            raise ValueError(f"{encoder_json} gives one id to several tokens.")

    @classmethod
    def from_pretrained(cls, name: str | Path = "gpt2", revision: str | None = None) -> "GPT2Tokenizer":
        """Read a folder, or else download `name` from the Hugging Face hub, at `revision` if given.

        A folder holds vocab.bpe and encoder.json, or the same files as merges.txt and vocab.json. Raises
        FileNotFoundError if a folder lacks them, ImportError without `huggingface_hub`, ValueError if the
        hub has no such files, ConnectionError if neither hub nor cache can give them.
        """
        if not Path(name).is_dir():
            return cls(*(_download(str(name), file, revision) for file in ("merges.txt", "vocab.json")))
        for merges, vocab in [("vocab.bpe", "encoder.json"), ("merges.txt", "vocab.json")]:
            if (Path(name) / merges).exists() and (Path(name) / vocab).exists():
                return cls(Path(name) / merges, Path(name) / vocab)
        raise FileNotFoundError(f"{name} holds neither vocab.bpe and encoder.json nor merges.txt and vocab.json.")

    def encode(self, text: str) -> list[int]:
        """Give GPT-2's ids of a text; see BPETokenizer."""
        return [self.published[i] for i in super().encode(text)]


def read_merges(lines: str) -> dict[Pair, int]:
    """Read merges in GPT-2's format, `Ġ t` a line, as `train_bpe` gives them: ids from 256, bytes below.

    Raises ValueError with the line that cannot be read.
    """
    byte_of = byte_of_character()
    ids: dict[str, int] = dict(byte_of)
    merges: dict[Pair, int] = {}
    for number, line in enumerate(lines.split("\n"), start=1):
        if (number == 1 and line.startswith("#version")) or not line.strip():
            continue
        first, gap, second = line.rstrip("\r").partition(" ")
        if not gap or first not in ids or second not in ids:
            raise ValueError(f"Line {number} is not a merge of two tokens known by then: {line!r}.")
        if first + second in ids:
            raise ValueError(f"Line {number} makes the token {first + second!r} a second time.")
        merges[ids[first], ids[second]] = ids[first + second] = 256 + len(merges)
    return merges


def write_merges(merges: dict[Pair, int]) -> str:
    """Write merges in GPT-2's format, for other libraries to read; undoes `read_merges`.

    Raises ValueError if two merges make the same bytes, which the format cannot tell apart.
    """
    spelling = {byte: character for character, byte in byte_of_character().items()}
    lines = ["#version: 0.2"]
    for (a, b), new in sorted(merges.items(), key=lambda merge: merge[1]):
        lines.append(f"{spelling[a]} {spelling[b]}")
        spelling[new] = spelling[a] + spelling[b]
    if len(set(spelling.values())) < len(spelling):
        raise ValueError(
            "Two merges make the same bytes: GPT-2's format, which names a token by them, has no way to say so."
        )
    return "\n".join(lines) + "\n"


def _download(name: str, file: str, revision: str | None) -> str:
    try:
        from huggingface_hub import errors, hf_hub_download
    except ImportError as error:
        raise ImportError(f"Downloading {name!r} needs: pip install huggingface_hub.") from error
    try:
        return hf_hub_download("openai-community/gpt2" if name == "gpt2" else name, file, revision=revision)
    except errors.LocalEntryNotFoundError as error:
        raise ConnectionError(
            f"Cannot download {file} of {name!r}: the Hugging Face hub is out of reach, nothing cached. "
            "Go online once, or give the path of a folder with vocab.bpe and encoder.json."
        ) from error
    except (errors.HfHubHTTPError, errors.HFValidationError) as error:
        raise ValueError(f"{name!r} is no folder here, and the Hugging Face hub has no {file} of that name.") from error


@cache
def byte_of_character() -> dict[str, int]:
    """The printable character that stands for each byte in GPT-2's files, in the order of its ids.

    Bytes that Latin-1 prints stand for themselves and come first; the other 68 take the characters from
    U+0100 on, so that the space is "Ġ".
    """
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(hidden)}
