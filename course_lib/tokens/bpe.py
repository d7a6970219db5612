"""Byte-pair encoding (Sennrich, Haddow and Birch 2016), on bytes: a vocabulary learned by counting."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

Pair = tuple[int, int]
END = -1  # marks the ends of a word, and the places that a merge has emptied


def merge_pair(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    """Write `new_id` in place of every occurrence of `pair`, from left to right.

    Occurrences do not overlap: (1, 1) is found once in [1, 1, 1]. `ids` stays as it is.
    """
    merged: list[int] = []
    i = 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def train_bpe(data: bytes, merges: int) -> dict[Pair, int]:
    """Learn `merges` merges: each time, the most frequent pair of neighbours becomes a new id.

    Ids below 256 are bytes, new ones count up from 256. A pair is counted at every place where its two
    ids are neighbours, so "aaa" holds (a, a) twice although only one of them can be merged; of equally
    frequent pairs the largest wins. Fewer merges are returned if the data shrinks to one id before.
    Raises ValueError for a negative number of merges.
    """
    return _learn([(bytes(data), 1)], merges)


def train_bpe_on_words(words: Iterable[str], merges: int) -> dict[Pair, int]:
    """Learn merges as `train_bpe` does, but never across the borders of `words`.

    A word counts as often as it comes, and each distinct one is worked on once: on natural text cut by
    `split_words` that is several times faster than one long run of bytes, and no id straddles a word.
    """
    return _learn([(word.encode(), often) for word, often in Counter(words).items()], merges)


def _learn(words: list[tuple[bytes, int]], merges: int) -> dict[Pair, int]:
    """Keep the count and the places of every pair up to date, rather than recounting at each merge."""
    if merges < 0:
        raise ValueError(f"The number of merges cannot be negative, but is {merges}.")
    ids, weights = [END], [0]  # all words in one row, an END before and after each
    for word, often in words:
        ids += [*word, END]
        weights += [often] * (len(word) + 1)
    right = list(range(1, len(ids) + 1))
    left = list(range(-1, len(ids) - 1))
    counts: dict[Pair, int] = defaultdict(int)
    places: dict[Pair, list[int]] = defaultdict(list)
    for i, pair in enumerate(zip(ids, ids[1:], strict=False)):
        if END not in pair:
            counts[pair] += weights[i]
            places[pair].append(i)
    # largest count first, then the largest pair; an entry may be out of date, and is checked when it comes up
    queue = [(-count, -a, -b) for (a, b), count in counts.items()]
    heapq.heapify(queue)

    learned: dict[Pair, int] = {}
    while queue and len(learned) < merges:
        negative, a, b = heapq.heappop(queue)
        a, b = pair = -a, -b
        count = counts[pair]
        if count != -negative:  # counts of existing pairs only fall, so a later turn is the right one
            if count:
                heapq.heappush(queue, (-count, -a, -b))
            continue
        new = learned[pair] = 256 + len(learned)
        fresh: set[Pair] = set()
        # from left to right: all places of a pair arose in one sweep, when the younger of its ids was made
        for i in places.pop(pair):
            j = right[i]
            if ids[i] != a or ids[j] != b:  # an earlier merge took one of the two
                continue
            before, after, weight = left[i], right[j], weights[i]
            if (x := ids[before]) != END:
                counts[x, a] -= weight
                counts[x, new] += weight
                places[x, new].append(before)
                fresh.add((x, new))
            if (y := ids[after]) != END:
                counts[b, y] -= weight
                counts[new, y] += weight
                places[new, y].append(i)
                fresh.add((new, y))
            ids[i], ids[j] = new, END
            right[i], left[after] = after, i
        del counts[pair]
        for x, y in fresh:
            if count := counts[x, y]:
                heapq.heappush(queue, (-count, -x, -y))
    return learned


class BPETokenizer:
    """Turn text into ids and back, with merges as `train_bpe` gives them.

    `split` cuts the text into words that are encoded one by one (see `split_words`); without it the text is
    one run of bytes. `vocab` holds the bytes of each id. Raises ValueError if a merge uses an id that no
    earlier merge has made, or makes one twice.
    """

    def __init__(self, merges: dict[Pair, int], split: Callable[[str], Iterable[str]] | None = None) -> None:
        self.merges = dict(merges)
        self.split = split
        self.vocab: dict[int, bytes] = {byte: bytes([byte]) for byte in range(256)}
        for (a, b), new in sorted(self.merges.items(), key=lambda merge: merge[1]):
            if a not in self.vocab or b not in self.vocab or new in self.vocab:
                raise ValueError(f"The merge {(a, b)} -> {new} must make a new id from two lower ones.")
            self.vocab[new] = self.vocab[a] + self.vocab[b]

    def __len__(self) -> int:
        return len(self.vocab)

    def encode(self, text: str) -> list[int]:
        """Give the ids of a text: of the pairs present, the one learned first is merged first.

        Raises UnicodeEncodeError if the text holds half of a surrogate pair, which has no bytes.
        """
        known: dict[str, list[int]] = {}
        ids: list[int] = []
        for word in [text] if self.split is None else self.split(text):
            if word not in known:
                known[word] = self._encode_word(word.encode())
            ids += known[word]
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Give the text of ids, "\\ufffd" where bytes are not UTF-8. Raises ValueError for unknown ids."""
        return b"".join(self._bytes_of(i) for i in ids).decode(errors="replace")

    def _bytes_of(self, token: int) -> bytes:
        if int(token) not in self.vocab:
            raise ValueError(f"There is no token {token}: the vocabulary has {len(self.vocab)} ids.")
        return self.vocab[int(token)]

    def _encode_word(self, word: bytes) -> list[int]:
        merges = self.merges
        ids = [*word, END]
        last = len(word)
        right, left = list(range(1, last + 2)), list(range(-1, last))
        queue = [(merges[p], i) for i, p in enumerate(zip(ids, ids[1:], strict=False)) if p in merges]
        heapq.heapify(queue)  # a merge learned earlier has the smaller id
        while queue:
            new, i = heapq.heappop(queue)
            if merges.get((ids[i], ids[right[i]])) != new:  # an earlier merge took one of the two
                continue
            ids[i], ids[right[i]] = new, END
            right[i] = right[right[i]]
            left[right[i]] = i
            for start in (left[i], i):
                if start >= 0 and (further := merges.get((ids[start], ids[right[start]]))) is not None:
                    heapq.heappush(queue, (further, start))
        return [i for i in ids if i != END]
