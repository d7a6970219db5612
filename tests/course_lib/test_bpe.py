"""Byte-pair encoding: training against a plain recount, round trips on any text, and GPT-2's file format."""

import json
from collections import Counter

import huggingface_hub
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from course_lib.tokens import (
    BPETokenizer,
    GPT2Tokenizer,
    merge_pair,
    read_merges,
    split_words,
    train_bpe,
    train_bpe_on_words,
    write_merges,
)
from course_lib.tokens.gpt2 import byte_of_character

TEXT = "Don't panic: naïve 世界 said 'tis 2024's  end.\n\n\tThe cat sat on the mat; the cats' mats 12.5 ½ Ⅷ 😀😀"
few_letters = st.text(alphabet="abc", max_size=60)  # pairs repeat, runs are long, ties are many
any_text = st.text(max_size=60)


def replace(ids: list[int], pair: tuple[int, int], new: int) -> list[int]:
    out: list[int] = []
    for i in ids:
        # the last written id is only ever an old one here, so this is left to right without overlap
        if out and (out[-1], i) == pair and out[-1] != new:
            out[-1] = new
        else:
            out.append(i)
    return out


def recount(words: list[bytes], merges: int) -> dict[tuple[int, int], int]:
    """Training as the definition says it: count everything anew for each merge."""
    rows, learned = [list(word) for word in words], {}
    for new in range(256, 256 + merges):
        counts = Counter(pair for row in rows for pair in zip(row, row[1:], strict=False))
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        learned[best] = new
        rows = [replace(row, best, new) for row in rows]
    return learned


def test_merge_pair():
    ids = [1, 2, 1, 1, 2, 2, 1]
    assert merge_pair(ids, (1, 2), 9) == [9, 1, 9, 2, 1]
    assert ids == [1, 2, 1, 1, 2, 2, 1]
    assert merge_pair([1, 1, 1, 1, 1], (1, 1), 9) == [9, 9, 1]
    assert merge_pair([], (1, 1), 9) == [] and merge_pair([1], (1, 1), 9) == [1]
    assert merge_pair([2, 1], (1, 2), 9) == [2, 1]


@given(st.lists(st.integers(0, 2), max_size=30), st.integers(0, 2), st.integers(0, 2))
def test_merge_pair_equals_the_plain_rule(ids, a, b):
    assert merge_pair(ids, (a, b), 3) == replace(ids, (a, b), 3)


def test_training_by_hand():
    # aa counts 4, since overlapping runs count at every place; then, in "XabdXabac", Xa and ab tie at 2
    merges = train_bpe(b"aaabdaaabac", 3)
    assert merges == {(97, 97): 256, (256, 97): 257, (257, 98): 258}
    assert train_bpe(b"abab", 1) == {(97, 98): 256}
    assert train_bpe(b"abcd", 1) == {(99, 100): 256}, "of equally frequent pairs the largest wins"


def test_overlapping_runs_count_at_every_place():
    # (a, a) is at 4 places of "aaaaa" but only 2 can be merged; (b, c) is at 3
    assert next(iter(train_bpe(b"aaaaa.bc.bc.bc", 1))) == (97, 97)


@settings(deadline=None)
@given(few_letters | any_text, st.integers(0, 12))
@example("a" * 50, 12)
@example("ab" * 20 + "ba" * 20, 12)
def test_training_equals_recounting(text, merges):
    data = text.encode()
    learned = train_bpe(data, merges)
    assert learned == recount([data], merges)
    assert list(learned.values()) == list(range(256, 256 + len(learned)))


@settings(deadline=None)
@given(st.lists(few_letters, max_size=12), st.integers(0, 12))
def test_training_on_words_equals_recounting_every_word(words, merges):
    assert train_bpe_on_words(words, merges) == recount([word.encode() for word in words], merges)


def test_training_on_real_text_equals_recounting():
    words = split_words(TEXT * 3 + " the theme of the cat, that other cat and the mathematician's thesis" * 2)
    assert train_bpe_on_words(words, 60) == recount([word.encode() for word in words], 60)


def test_training_stops_when_nothing_is_left_to_merge():
    assert train_bpe(b"", 5) == {} and train_bpe(b"a", 5) == {}
    assert len(train_bpe(b"abcd", 50)) == 3
    with pytest.raises(ValueError, match="cannot be negative"):
        train_bpe(b"ab", -1)


TOKENIZERS = {
    "bytes alone": BPETokenizer({}),
    "one run": BPETokenizer(train_bpe((TEXT * 2 + "aaaaaaaaaaaabbbbabab").encode(), 60)),
    "words": BPETokenizer(train_bpe_on_words(split_words(TEXT * 2), 60), split_words),
}


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(deadline=None)
@given(text=any_text | few_letters | st.text(alphabet=TEXT, max_size=80))
def test_round_trip(kind, text):
    tokenizer = TOKENIZERS[kind]
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(deadline=None)
@given(text=few_letters | st.text(alphabet=TEXT, max_size=80))
def test_encoding_applies_the_merges_in_the_order_learned(kind, text):
    tokenizer = TOKENIZERS[kind]
    wanted: list[int] = []
    for word in [text] if tokenizer.split is None else tokenizer.split(text):
        ids = list(word.encode())
        for pair, new in tokenizer.merges.items():
            ids = replace(ids, pair, new)
        wanted += ids
    assert tokenizer.encode(text) == wanted


def test_the_training_text_encodes_to_what_training_left():
    data = (TEXT * 2).encode()
    merges = train_bpe(data, 40)
    ids = list(data)
    for pair, new in merges.items():
        ids = merge_pair(ids, pair, new)
    assert BPETokenizer(merges).encode(TEXT * 2) == ids


def test_decoding_replaces_bytes_that_are_not_utf8():
    tokenizer = BPETokenizer({(0xC3, 0xAF): 256})
    assert tokenizer.decode([256]) == "ï"
    assert tokenizer.decode([65, 0xC3, 66, 0xFF]) == "A\ufffdB\ufffd"
    with pytest.raises(ValueError, match="no token 257"):
        tokenizer.decode([257])
    with pytest.raises(UnicodeEncodeError):
        tokenizer.encode("\ud800")


def test_merges_are_kept_apart_from_the_dictionary_given():
    merges = {(97, 98): 256}
    tokenizer = BPETokenizer(merges)
    merges[98, 99] = 257
    assert tokenizer.encode("bc") == [98, 99] and len(tokenizer) == 257


@pytest.mark.parametrize("merges", [{(97, 300): 256}, {(97, 98): 98}, {(97, 98): 256, (98, 99): 256}, {(256, 97): 256}])
def test_impossible_merges_are_refused(merges):
    with pytest.raises(ValueError, match="must make a new id"):
        BPETokenizer(merges)


@given(any_text | st.text(alphabet=TEXT, max_size=80))
def test_words_join_to_the_text(text):
    assert "".join(split_words(text)) == text


def test_words_by_hand():
    assert split_words("Once upon a  time, we'll") == ["Once", " upon", " a", " ", " time", ",", " we", "'ll"]
    assert split_words("a1½ _b\n\n c  ") == ["a", "1½", " _", "b", "\n\n", " c", "  "]
    # a control character that Python, unlike Unicode, takes for white space
    assert split_words("a \n\x1cb") == ["a", " ", "\n", "\x1c", "b"]
    assert split_words("a\x1c\x1d!\x85b") == ["a", "\x1c\x1d!", "\x85", "b"]


@pytest.fixture
def published(tmp_path):
    """A folder in GPT-2's format: ids of bytes in their own order, then merges, then a special token."""
    merges = train_bpe_on_words(split_words(TEXT * 2), 50)
    text = write_merges(merges)
    names = [
        *byte_of_character(),
        *(line.replace(" ", "") for line in text.splitlines()[1:]),
        "<|endoftext|>",
    ]
    (tmp_path / "vocab.bpe").write_text(text, encoding="utf-8")
    (tmp_path / "encoder.json").write_text(json.dumps({name: i for i, name in enumerate(names)}))
    return tmp_path, merges


def test_published_format(published):
    folder, merges = published
    tokenizer = GPT2Tokenizer.from_pretrained(folder)
    assert tokenizer.merges == merges and len(tokenizer) == 256 + 50 + 1
    assert tokenizer.end_of_text == 306 and tokenizer.decode([306, 0]) == "<|endoftext|>!"
    assert tokenizer.encode("!") == [0] and tokenizer.encode(" ") == [220]  # as in GPT-2's own vocabulary
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
    plain = BPETokenizer(merges, split_words).encode(TEXT)
    ours = tokenizer.encode(TEXT)
    assert [i - 256 for i in plain if i >= 256] == [i - 256 for i in ours if i >= 256]
    assert 306 not in tokenizer.encode("<|endoftext|>"), "text alone never makes a special token"
    (folder / "vocab.bpe").rename(folder / "merges.txt")
    (folder / "encoder.json").rename(folder / "vocab.json")
    assert GPT2Tokenizer.from_pretrained(folder).encode(TEXT) == ours


def test_download_takes_the_hub_s_files(published, monkeypatch):
    folder, merges = published
    asked = []

    def give(repo, file, revision):
        asked.append((repo, file, revision))
        return folder / {"merges.txt": "vocab.bpe", "vocab.json": "encoder.json"}[file]

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", give)
    assert GPT2Tokenizer.from_pretrained(revision="abc").merges == merges
    assert asked == [
        ("openai-community/gpt2", "merges.txt", "abc"),
        ("openai-community/gpt2", "vocab.json", "abc"),
    ]


def test_failed_downloads_say_what_to_do(monkeypatch, tmp_path):
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConnectionError, match="Cannot download merges.txt of 'gpt2'.*Go online once"):
        GPT2Tokenizer.from_pretrained("gpt2")
    with pytest.raises(ValueError, match="no folder here"):
        GPT2Tokenizer.from_pretrained("no/such/repository")


def test_files_that_do_not_belong_together_are_refused(published):
    folder, _ = published
    vocab = json.loads((folder / "encoder.json").read_text())
    (folder / "encoder.json").write_text(json.dumps({name: i for name, i in vocab.items() if i != 300}))
    with pytest.raises(ValueError, match="lacks 1 tokens"):
        GPT2Tokenizer.from_pretrained(folder)
    (folder / "encoder.json").write_text(json.dumps(vocab | {"!": 5}))
    with pytest.raises(ValueError, match="one id to several"):
        GPT2Tokenizer.from_pretrained(folder)
    (folder / "encoder.json").unlink()
    with pytest.raises(FileNotFoundError, match="holds neither"):
        GPT2Tokenizer.from_pretrained(folder)


@settings(deadline=None)
@given(st.lists(any_text, max_size=8), st.integers(0, 12))
def test_writing_merges_is_undone_by_reading_them(words, count):
    merges = train_bpe_on_words(words, count)
    assume(len({*BPETokenizer(merges).vocab.values()}) == 256 + len(merges))
    assert read_merges(write_merges(merges)) == merges


def test_two_ways_to_the_same_bytes_cannot_be_written():
    merges = {(97, 98): 256, (98, 99): 257, (256, 99): 258, (97, 257): 259}
    assert BPETokenizer(merges).decode([258, 259]) == "abcabc"
    with pytest.raises(ValueError, match="same bytes"):
        write_merges(merges)


@pytest.mark.parametrize(("line", "message"), [("ab c", "Line 2"), ("a", "Line 2"), ("a b\na b", "a second time")])
def test_unreadable_merges_name_the_line(line, message):
    with pytest.raises(ValueError, match=message):
        read_merges("#version: 0.2\n" + line)
