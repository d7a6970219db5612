"""The GPT against transformers' GPT-2, with the same weights: values, loss, gradients, decoding, loading."""

import json
import os
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor

from course_lib.gpt import GPT, KVCache, decode_step, generate, left_pad, lm_loss, next_token_probs

VOCAB, BLOCK, DIM, DEPTH, HEADS = 37, 20, 12, 3, 2


@pytest.fixture
def theirs(redraw):
    """A GPT-2 of transformers, every parameter drawn anew, in float64 and without dropout."""
    config = transformers.GPT2Config(
        vocab_size=VOCAB, n_positions=BLOCK, n_embd=DIM, n_layer=DEPTH, n_head=HEADS,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    # float64 numbers that float32 has too: they survive being saved in float32
    return redraw(transformers.GPT2LMHeadModel(config)).double().eval()


@pytest.fixture
def folder(theirs, tmp_path) -> Path:
    theirs.float().save_pretrained(tmp_path)
    theirs.double()
    return tmp_path


@pytest.fixture
def ours(folder) -> GPT:
    return GPT.from_pretrained(folder).double().eval()


def some_ids(*shape: int, seed: int = 3) -> Tensor:
    return torch.randint(0, VOCAB, shape, generator=torch.Generator().manual_seed(seed))


def their_gradients_by_our_names(theirs) -> dict[str, Tensor]:
    """Written out by hand, not through the conversion that is under test."""
    body = theirs.transformer
    names = {
        "tokens.weight": body.wte.weight.grad,
        "positions.weight": body.wpe.weight.grad,
        "norm.weight": body.ln_f.weight.grad,
        "norm.bias": body.ln_f.bias.grad,
    }
    for i, block in enumerate(body.h):
        for part, layer in (("norm1", block.ln_1), ("norm2", block.ln_2)):
            names[f"blocks.{i}.{part}.weight"] = layer.weight.grad
            names[f"blocks.{i}.{part}.bias"] = layer.bias.grad
        # their Conv1D computes x W + b, ours x Wᵀ + b
        products = {"attn.out": block.attn.c_proj, "mlp.0": block.mlp.c_fc, "mlp.2": block.mlp.c_proj}
        for part, layer in products.items():
            names[f"blocks.{i}.{part}.weight"] = layer.weight.grad.T
            names[f"blocks.{i}.{part}.bias"] = layer.bias.grad
        for place, part in enumerate(("query", "key", "value")):
            rows = slice(place * DIM, (place + 1) * DIM)
            names[f"blocks.{i}.attn.{part}.weight"] = block.attn.c_attn.weight.grad.T[rows]
            names[f"blocks.{i}.attn.{part}.bias"] = block.attn.c_attn.bias.grad[rows]
    return names


def test_logits_loss_and_all_gradients_are_gpt2s(theirs, ours):
    ids = some_ids(4, 11)
    labels = ids.clone()
    labels[0, 3] = labels[2, 6:] = -100
    out = theirs(ids, labels=labels)  # shifts the labels itself
    logits = ours(ids)
    loss = lm_loss(logits[:, :-1], labels[:, 1:])
    torch.testing.assert_close(logits, out.logits)
    # theirs rounds logits to float32 before the loss: gradients are compared by way of torch's own loss
    torch.testing.assert_close(loss.float(), out.loss)
    exact = F.cross_entropy(out.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    torch.testing.assert_close(loss, exact)
    exact.backward()
    loss.backward()
    expected = their_gradients_by_our_names(theirs)
    gradients = {name: p.grad for name, p in ours.named_parameters()}
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], msg=lambda text, name=name: f"{name}: {text}")


def test_attention_maps_are_gpt2s(theirs, ours):
    theirs.set_attn_implementation("eager")
    ids = some_ids(4, 11)
    maps = theirs(ids, output_attentions=True).attentions
    torch.testing.assert_close(ours.attention_maps(ids), torch.stack(maps))


def test_steps_with_a_cache_are_gpt2s(theirs, ours):
    ids, cache, past = some_ids(4, 11), KVCache(), None
    for part in ids.split([5, 1, 1, 4], dim=1):
        with torch.no_grad():
            out = theirs(part, past_key_values=past, use_cache=True)
        past = out.past_key_values
        torch.testing.assert_close(decode_step(ours, part, cache), out.logits[:, -1])
    for layer in range(DEPTH):
        torch.testing.assert_close(cache[layer][0], past.layers[layer].keys)
        torch.testing.assert_close(cache[layer][1], past.layers[layer].values)


def check_greedy(theirs, ours, ids: Tensor, mask: Tensor, n: int) -> None:
    """Texts alone would prove little, since small random models soon repeat one token: logits tell more."""
    out = theirs.generate(
        ids, attention_mask=mask.long(), max_new_tokens=n, do_sample=False, use_cache=True, pad_token_id=0,
        output_logits=True, return_dict_in_generate=True,
    )  # fmt: skip
    said = []
    hook = ours.head.register_forward_hook(lambda _, __, logits: said.append(logits))
    assert torch.equal(generate(ours, ids, n, mask=mask, temperature=0), out.sequences)
    hook.remove()
    assert len(said) == n
    # transformers widens or narrows what it returns to float32
    torch.testing.assert_close(torch.stack(said).float(), torch.stack(out.logits).float())


def test_greedy_texts_with_a_cache_are_gpt2s(theirs, ours):
    ids = some_ids(4, 7)
    check_greedy(theirs, ours, ids, torch.ones_like(ids, dtype=torch.bool), n=13)


def test_padded_prompts_are_continued_as_gpt2_does(theirs, ours):
    ids, mask = left_pad([some_ids(1, length, seed=length)[0].tolist() for length in (9, 2, 5)], pad=1)
    check_greedy(theirs, ours, ids, mask, n=8)


def test_each_sampling_option_makes_the_distribution_that_transformers_samples():
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    logits = torch.randn(5, VOCAB, dtype=torch.float64) * 3
    for temperature, top_k, top_p in [(0.7, 9, 0.8), (1.9, 20, 0.55), (1.0, 3, 0.97)]:
        scores = TemperatureLogitsWarper(temperature)(None, logits)
        scores = TopKLogitsWarper(top_k)(None, scores)
        scores = TopPLogitsWarper(top_p)(None, scores)
        torch.testing.assert_close(next_token_probs(logits, temperature, top_k, top_p), scores.softmax(-1))


# from_pretrained


@pytest.mark.parametrize("form", ["safetensors", "shards", "pickle", "old"])
def test_every_form_in_which_weights_are_published_loads(theirs, tmp_path, form):
    theirs = theirs.float()
    theirs.save_pretrained(tmp_path, max_shard_size="5KB" if form == "shards" else "1GB")
    if form == "shards":
        assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    if form in ("pickle", "old"):
        (tmp_path / "model.safetensors").unlink()
        state = theirs.state_dict()
        if form == "old":
            # as on the hub: no prefix, no head, and the causal mask as a buffer
            state = {name.removeprefix("transformer."): t for name, t in state.items() if "head" not in name}
            state |= {f"h.{i}.attn.bias": torch.ones(1, 1, BLOCK, BLOCK).tril() for i in range(DEPTH)}
        torch.save(state, tmp_path / "pytorch_model.bin")
    model = GPT.from_pretrained(str(tmp_path))
    assert model.head.weight is model.tokens.weight
    ids = some_ids(2, 9)
    torch.testing.assert_close(model(ids), theirs(ids).logits)


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "opt"},
        {"activation_function": "relu"},
        {"scale_attn_by_inverse_layer_idx": True},
        {"n_inner": 17},
        {"tie_word_embeddings": False},
    ],
)
def test_what_is_no_gpt2_is_refused_by_its_config(folder, change):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match="17" if "n_inner" in change else next(iter(change))):
        GPT.from_pretrained(folder)


def test_weights_that_do_not_fit_are_refused_by_name(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"n_layer": DEPTH + 1}))
    with pytest.raises(ValueError, match=r"do not fit.*blocks\.3"):
        GPT.from_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config | {"n_positions": BLOCK + 1}))
    with pytest.raises(ValueError, match=r"do not fit.*positions\.weight"):
        GPT.from_pretrained(folder)


def test_a_folder_without_weights_says_what_it_lacks(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="neither model.safetensors nor"):
        GPT.from_pretrained(folder)
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match="config.json"):
        GPT.from_pretrained(folder)


# the hub, in another process because huggingface_hub reads its settings when imported


def load_elsewhere(name: str, home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    program = f"""
from course_lib.gpt import GPT
try:
    model = GPT.from_pretrained({name!r})
    print("loaded", float(model.tokens.weight.double().sum()))
except Exception as error:
    print(type(error).__name__, error)
"""
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", **settings}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.parametrize("settings", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_offline_says_what_to_do(tmp_path, settings):
    said = load_elsewhere("gpt2", tmp_path, **settings).stdout
    assert said.startswith("ConnectionError Cannot download 'openai-community/gpt2'")
    assert "path of a folder with config.json and model.safetensors" in said


class Hub(SimpleHTTPRequestHandler):
    """As much of the hub's protocol as a download needs, over the files of one folder."""

    commit = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self, *arguments, asked: list[str], **options) -> None:
        self.asked = asked
        super().__init__(*arguments, **options)

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.asked.append(self.path)
        folder = Path(self.directory)
        path = self.path.split("?")[0]
        repo = "/openai-community/gpt2"
        file = folder / path.rsplit("/", 1)[-1]
        entries = [
            {"type": "file", "path": f.name, "rfilename": f.name, "size": f.stat().st_size, "oid": "0" * 40}
            for f in sorted(folder.iterdir())
        ]
        if path.startswith(f"/api/models{repo}/tree"):
            body = json.dumps(entries).encode()
        elif path.startswith(f"/api/models{repo}"):
            about = {"id": repo[1:], "sha": self.commit, "siblings": entries, "private": False, "tags": []}
            body = json.dumps(about | {"downloads": 0, "likes": 0}).encode()
        elif path.startswith(f"{repo}/resolve/") and file.exists():
            body = file.read_bytes()
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound" if repo not in path else "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json" if path.startswith("/api") else "binary/octets")
        self.send_header("X-Repo-Commit", self.commit)
        self.send_header("ETag", f'"{file.name}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def hub(folder):
    asked: list[str] = []
    (folder / "tf_model.h5").write_bytes(b"not wanted")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, directory=str(folder), asked=asked))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


def test_gpt2_is_downloaded_by_name_and_found_again_offline(hub, theirs, tmp_path_factory):
    endpoint, asked = hub
    home = tmp_path_factory.mktemp("home")
    total = float(theirs.float().transformer.wte.weight.detach().double().sum())
    assert load_elsewhere("gpt2", home, HF_ENDPOINT=endpoint).stdout.split() == ["loaded", str(total)]
    files = {path.rsplit("/", 1)[-1] for path in asked if "/resolve/" in path}
    assert files == {"config.json", "model.safetensors"}
    again = load_elsewhere("gpt2", home, HF_HUB_OFFLINE="1").stdout
    assert again.split() == ["loaded", str(total)]


def test_a_name_that_nobody_has_is_called_unknown(hub, tmp_path_factory):
    endpoint, _ = hub
    said = load_elsewhere("nobody/nothing", tmp_path_factory.mktemp("home"), HF_ENDPOINT=endpoint).stdout
    assert said.startswith("ValueError 'nobody/nothing' is no folder here, and the Hugging Face hub has no")
