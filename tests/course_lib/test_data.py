"""Data sets: formats read back exactly, anything cut or foreign refused, shapes and ranges as documented."""

import gzip
import hashlib
import io
import os
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
from drawing import LAWS
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile
from serving import serving

from course_lib.data import catalogue, images, sound, text
from course_lib.data.cache import RemoteFile, damage
from course_lib.data.formats import read_cifar10, read_idx
from course_lib.data.wav import read_wav

RANDOM = np.random.default_rng(0)


def idx(array: np.ndarray) -> bytes:
    codes = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}
    header = struct.pack(">HBB", 0, codes[array.dtype.name], array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


# IDX


@LAWS
@given(
    st.sampled_from(["uint8", "int8", "int16", "int32", "float32", "float64"]),
    st.lists(st.integers(0, 5), min_size=1, max_size=4),
)
def test_idx_comes_back_as_it_was_written(kind, shape):
    array = (RANDOM.normal(size=shape) * 100).astype(kind)
    tensor = read_idx(idx(array))
    assert tensor.shape == tuple(shape)
    assert np.array_equal(tensor.numpy(), array) and tensor.numpy().dtype == kind


def test_idx_of_two_images_by_hand():
    content = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 9, 8, 7, 6, 5, 255])
    assert read_idx(content).tolist() == [[[9, 8, 7]], [[6, 5, 255]]]


@given(st.integers(0, 400))
def test_no_idx_cut_short_is_read(kept):
    content = idx(RANDOM.integers(0, 255, (4, 7, 14), dtype=np.uint8))
    assert len(content) == 408
    with pytest.raises(ValueError):
        read_idx(content[:kept])


def test_foreign_or_padded_idx_is_refused():
    with pytest.raises(ValueError, match="not an IDX file: it begins with 1f 8b"):
        read_idx(gzip.compress(b"abc"))
    with pytest.raises(ValueError, match="not an IDX file"):
        read_idx(b"\0\0\x0a\1\0\0\0\0")
    with pytest.raises(ValueError, match="has 13 bytes, but this one 14"):
        read_idx(idx(np.zeros(5, np.uint8)) + b"\0")
    # the product of these sizes is 2**64, which is 0 in 64 bits
    with pytest.raises(ValueError, match="has 18,446,744,073,709,551,632 bytes"):
        read_idx(struct.pack(">HBB3I", 0, 8, 3, 2**31, 2**31, 4))


# CIFAR-10


def cifar(labels: list[int], pixels: np.ndarray) -> bytes:
    return b"".join(bytes([label]) + p.tobytes() for label, p in zip(labels, pixels, strict=True))


def test_cifar_records_are_a_label_and_three_planes():
    pixels = RANDOM.integers(0, 255, (5, 3, 32, 32), dtype=np.uint8)
    pictures, labels = read_cifar10(cifar([3, 0, 9, 9, 1], pixels))
    assert labels.tolist() == [3, 0, 9, 9, 1] and labels.dtype == torch.int64
    assert np.array_equal(pictures.numpy(), pixels)
    # red of the second pixel of the first row, blue of the last pixel, by the data set's description
    content = cifar([0], pixels[:1])
    assert read_cifar10(content)[0][0, 0, 0, 1] == content[2]
    assert read_cifar10(content)[0][0, 2, 31, 31] == content[-1]


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c + b"\0", lambda c: b""])
def test_cifar_of_another_size_is_refused(change):
    with pytest.raises(ValueError, match="3073 bytes a record"):
        read_cifar10(change(cifar([1, 2], np.zeros((2, 3, 32, 32), np.uint8))))


def test_cifar_100_is_not_taken_for_cifar_10():
    with pytest.raises(ValueError, match="this file has a 57"):
        read_cifar10(cifar([1, 57], np.zeros((2, 3, 32, 32), np.uint8)))


# WAV


def wav(samples: bytes, kind: int, channels: int, bits: int, rate: int = 8000, extra: bytes = b"") -> bytes:
    fmt = struct.pack("<HHIIHH", kind, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    chunks = b"fmt " + struct.pack("<I", 16) + fmt + extra + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def read(content: bytes, tmp_path: Path):
    (tmp_path / "a.wav").write_bytes(content)
    return read_wav(tmp_path / "a.wav")


@pytest.mark.parametrize("kind", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 3])
def test_wav_reads_what_scipy_writes(tmp_path, kind, channels):
    if kind.startswith("float"):
        stored = RANDOM.uniform(-1, 1, (50, channels)).astype(kind)
        expected = stored
    else:
        limits = np.iinfo(kind)
        stored = RANDOM.integers(limits.min, limits.max, (50, channels), dtype=kind, endpoint=True)
        stored[0] = limits.min
        expected = (stored.astype(float) - (128 if kind == "uint8" else 0)) / 2.0 ** (limits.bits - 1)
    wavfile.write(tmp_path / "a.wav", 22_050, stored)
    samples, rate = read_wav(tmp_path / "a.wav")
    assert rate == 22_050 and samples.dtype == torch.float32 and samples.shape == (50, channels)
    np.testing.assert_allclose(samples.numpy(), expected, atol=1e-7)


def test_wav_of_24_bits_by_hand(tmp_path):
    samples = b"\0\0\x80" + b"\xff\xff\x7f" + b"\0\0\0" + b"\xff\xff\xff"
    found, _ = read(wav(samples, 1, 2, 24), tmp_path)
    expected = [[-1, (2**23 - 1) / 2**23], [0, -1 / 2**23]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32), rtol=0, atol=0)


def test_wav_steps_over_chunks_it_does_not_know(tmp_path):
    extra = b"LIST" + struct.pack("<I", 5) + b"hello" + b"\0"  # an odd length is padded
    found, _ = read(wav(struct.pack("<3h", 1, -2, 3), 1, 1, 16, extra=extra), tmp_path)
    assert (found * 2**15).tolist() == [[1], [-2], [3]]


@given(st.integers(0, 43 + 20))
def test_no_wav_cut_short_is_read(tmp_path_factory, kept):
    content = wav(struct.pack("<10h", *range(10)), 1, 1, 16)
    assert len(content) == 44 + 20
    with pytest.raises(ValueError):
        read(content[:kept], tmp_path_factory.mktemp("wav"))


def test_foreign_wav_is_refused(tmp_path):
    with pytest.raises(ValueError, match="format 85 with 16 bits, which is not read"):  # MP3 in a WAV file
        read(wav(b"\0\0", 85, 1, 16), tmp_path)
    with pytest.raises(ValueError, match="last sample is not whole"):
        read(wav(b"\0\0\0", 1, 1, 16), tmp_path)
    with pytest.raises(ValueError, match="not a WAV file"):
        read(b"OggS" + bytes(60), tmp_path)


# sets that come with packages


def test_digits_are_split_without_overlap_and_keep_label_and_image_together():
    stored = sklearn.datasets.load_digits()
    both = [images.digits(split, dtype=torch.uint8) for split in ("train", "test")]
    assert [tuple(x.shape) for x, _ in both] == [(1437, 1, 8, 8), (360, 1, 8, 8)]
    found = sorted((*x.flatten().tolist(), y.item()) for part in both for x, y in zip(*part, strict=True))
    assert found == sorted((*x.astype(int).tolist(), y) for x, y in zip(stored.data, stored.target, strict=True))


def test_digits_are_between_zero_and_one_and_drawn_by_their_seed():
    x, y = images.digits("train", seed=3)
    assert (x.dtype, y.dtype, x.min().item(), x.max().item()) == (torch.float32, torch.int64, 0.0, 1.0)
    assert torch.equal(x, images.digits("train", seed=3)[0])
    assert not torch.equal(x, images.digits("train", seed=4)[0])
    torch.testing.assert_close(x * 16, images.digits("train", seed=3, dtype=torch.uint8)[0].float())


@pytest.mark.parametrize("name", images.PICTURES)
def test_pictures_come_from_the_package_alone(name, monkeypatch):
    monkeypatch.setattr("socket.socket", None)
    found = images.picture(name)
    assert found.dtype == torch.float32 and found.ndim == 3 and found.shape[0] in (1, 3)
    assert 0 <= found.min() < found.max() <= 1 and found.max() > 0.5
    torch.testing.assert_close(found * 255, images.picture(name, dtype=torch.uint8).float())


def test_the_camera_picture_is_the_well_known_one():
    assert images.picture("camera").shape == (1, 512, 512)
    astronaut = images.picture("astronaut", dtype=torch.uint8)
    assert astronaut[:, 0, 0].tolist() == [154, 147, 151]
    with pytest.raises(ValueError, match="no picture 'lena'; there are astronaut"):
        images.picture("lena")


def test_the_python_reference_is_long_english_and_always_the_same():
    found = text.python_reference()
    assert found == text.python_reference()
    assert 300_000 < len(found) < 900_000
    assert found.count(" the ") > 2000 and "\n\n\n\n" not in found
    if sys.version_info[:3] == (3, 11, 7):
        assert len(found) == 380_536
        assert hashlib.sha256(found.encode()).hexdigest().startswith("7466c2b835f8c343")


def test_no_long_paragraph_of_the_python_reference_comes_twice():
    paragraphs = [p for p in text.python_reference().split("\n\n") if len(p) > 80]
    assert len(paragraphs) > 1000 and len(set(paragraphs)) == len(paragraphs)


def test_a_python_without_its_manual_is_told_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(ImportError, match="stripped of pydoc_data"):
        text.python_reference()


# sets to download, in small


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "cache"))
    with serving() as running:
        yield running


def test_mnist_pairs_images_with_labels(server, monkeypatch):
    pixels, labels = RANDOM.integers(0, 256, (7, 28, 28), dtype=np.uint8), np.arange(7, dtype=np.uint8)
    pixels[0, 0, :2] = 0, 255
    files = []
    for name, array in {"images.gz": pixels, "labels.gz": labels}.items():
        server.put(name, gzip.compress(idx(array)))
        files.append(server.file(name, idx(array), gunzip=True))
    monkeypatch.setitem(catalogue.MNIST, "test", tuple(files))
    x, y = images.mnist("test")
    assert (x.shape, x.dtype, y.dtype) == ((7, 1, 28, 28), torch.float32, torch.int64)
    np.testing.assert_allclose(x[:, 0].numpy(), pixels / 255, atol=1e-7)
    assert y.tolist() == labels.tolist()
    raw, _ = images.mnist("test", dtype=torch.uint8)
    assert np.array_equal(raw[:, 0].numpy(), pixels)


def test_cifar_joins_its_five_files_in_order(server, monkeypatch):
    packed = io.BytesIO()
    everything = {}
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        # not in the order of their names
        for name in ["test_batch", *(f"data_batch_{i}" for i in (3, 1, 5, 2, 4))]:
            pixels = RANDOM.integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
            labels = RANDOM.integers(0, 10, 2).tolist()
            everything[name] = pixels, labels
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            info.size = 2 * 3073
            archive.addfile(info, io.BytesIO(cifar(labels, pixels)))
    server.put("cifar.tar.gz", packed.getvalue())
    monkeypatch.setattr(catalogue, "CIFAR10", server.file("cifar.tar.gz", packed.getvalue()))
    for split, names in {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}.items():
        x, y = images.cifar10(split)
        np.testing.assert_allclose(x.numpy(), np.concatenate([everything[n][0] for n in names]) / 255, atol=1e-7)
        assert y.tolist() == sum((everything[n][1] for n in names), [])


def test_multi30k_pairs_line_by_line(server, monkeypatch):
    # characters at which str.splitlines would cut, and spaces at the ends
    sides = {"de": "Ein Hund.\nZwei\x85Katzen \nGrün\n", "fr": "Un chien.\n Deux\u2028chats\nVert\n"}
    for language, content in sides.items():
        packed = gzip.compress(content.encode())
        server.put(f"val.{language}.gz", packed)
        file = server.file(f"val.{language}.gz", packed)
        monkeypatch.setitem(catalogue.MULTI30K, ("val", language), file)
    pairs = text.multi30k("val", "fr", "de")
    assert pairs == [("Un chien.", "Ein Hund."), ("Deux\u2028chats", "Zwei\x85Katzen"), ("Vert", "Grün")]


def test_what_a_set_does_not_have_is_refused_before_anything_is_downloaded(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    for wrong in (images.digits, images.mnist, images.cifar10):
        with pytest.raises(ValueError, match="'train' and 'test', but 'val'"):
            wrong("val")
    with pytest.raises(ValueError, match="no 'test' in 'cs'"):
        text.multi30k("test", "en", "cs")
    with pytest.raises(ValueError, match="there are bach, counting"):
        sound.siren_clip("drums")
    assert not list(tmp_path.iterdir())


# the records of the real files


def catalogued() -> list[RemoteFile]:
    singles = [catalogue.TINY_SHAKESPEARE, catalogue.CIFAR10, catalogue.GPT2_ENCODER, catalogue.GPT2_MERGES]
    mnist = [file for pair in catalogue.MNIST.values() for file in pair]
    return [*singles, *mnist, *catalogue.MULTI30K.values(), *catalogue.SIREN_CLIPS.values()]


def test_records_are_complete_and_distinct():
    files = catalogued()
    assert len(files) == 19
    assert len({f.path for f in files}) == len({f.sha256 for f in files}) == 19
    for file in files:
        assert len(bytes.fromhex(file.sha256)) == 32
        assert file.urls and all(url.startswith("https://") for url in file.urls)
        # a file that is put there by hand keeps the name it has at its address
        assert all(url.rsplit("/", 1)[1] == file.path.rsplit("/", 1)[1] for url in file.urls)


CACHE = Path(os.environ.get("COURSE_DATA", "/nonexistent"))
PRESENT = [file for file in catalogued() if (CACHE / file.path).exists()]

if PRESENT:  # the catalogue's sums can be held against real files only where somebody has fetched them

    @pytest.mark.parametrize("file", PRESENT, ids=lambda file: file.path)
    def test_a_real_file_is_the_one_in_the_catalogue(file):
        assert damage(CACHE / file.path, file) is None


def test_importing_the_sets_imports_none_of_their_packages():
    code = (
        "import sys, course_lib.data.images, course_lib.data.text, course_lib.data.sound;"
        "print([m for m in ('sklearn', 'skimage', 'scipy', 'pydoc_data.topics') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
