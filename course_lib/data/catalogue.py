"""The files of the data sets that are downloaded: addresses, sizes and checksums."""

from course_lib.data.cache import RemoteFile

_GITHUB = "https://raw.githubusercontent.com/"

TINY_SHAKESPEARE = RemoteFile(
    "tinyshakespeare/input.txt",
    (_GITHUB + "karpathy/char-rnn/master/data/tinyshakespeare/input.txt",),
    1_115_394,
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
)


def _mnist(name: str, size: int, sha256: str) -> RemoteFile:
    # LeCun's own server no longer gives the files out; these two mirrors do
    mirrors = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
    urls = tuple(f"{mirror}{name}.gz" for mirror in mirrors)
    return RemoteFile(f"mnist/{name}.gz", urls, size, sha256, gunzip=True)


MNIST = {
    "train": (
        _mnist(
            "train-images-idx3-ubyte",
            47_040_016,
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        _mnist("train-labels-idx1-ubyte", 60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ),
    "test": (
        _mnist("t10k-images-idx3-ubyte", 7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        _mnist("t10k-labels-idx1-ubyte", 10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ),
}

# The data set's page gives the MD5 sum c32a1d4ab5d03f1284b67883e8d87530 for this archive. The SHA-256 sum is
# the one under which TensorFlow Datasets, MLDatasets.jl and red-datasets fetch it from the same address.
CIFAR10 = RemoteFile(
    "cifar10/cifar-10-binary.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    170_052_171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)

_MULTI30K = {
    ("train", "de"): (637_044, "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6"),
    ("train", "en"): (568_929, "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f"),
    ("train", "fr"): (604_242, "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c"),
    ("val", "de"): (24_681, "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a"),
    ("val", "en"): (21_650, "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28"),
    ("val", "fr"): (23_001, "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9"),
    ("test_2016_flickr", "de"): (22_890, "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8"),
    ("test_2016_flickr", "en"): (21_077, "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9"),
    ("test_2016_flickr", "fr"): (22_310, "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90"),
}

MULTI30K = {
    (split, language): RemoteFile(
        f"multi30k/{split}.{language}.gz",
        (f"{_GITHUB}multi30k/dataset/master/data/task1/raw/{split}.{language}.gz",),
        size,
        sha256,
    )
    for (split, language), (size, sha256) in _MULTI30K.items()
}


def _siren_clip(name: str, size: int, sha256: str) -> RemoteFile:
    return RemoteFile(f"siren/{name}.wav", (f"{_GITHUB}vsitzmann/siren/master/data/{name}.wav",), size, sha256)


SIREN_CLIPS = {
    "bach": _siren_clip("gt_bach", 1_232_886, "023940a1bcc534349e16ff46f360ffbfffa993842961dbed955c168fd2f38190"),
    "counting": _siren_clip(
        "gt_counting", 2_151_802, "5becf4851addadb660da353e0e6ea6fd653d4d71e5ea1ce1f6973b556ad397ad"
    ),
}


def _gpt2(name: str, size: int, sha256: str) -> RemoteFile:
    return RemoteFile(
        f"gpt2_bpe/{name}", (f"https://openaipublic.blob.core.windows.net/gpt-2/models/124M/{name}",), size, sha256
    )


GPT2_ENCODER = _gpt2("encoder.json", 1_042_301, "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783")
GPT2_MERGES = _gpt2("vocab.bpe", 456_318, "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5")
