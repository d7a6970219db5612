"""The recipes about fields run as commands, and what they have shipped supports what the chapter says."""

import numpy as np
import pytest
import torch
from shipping import SHIPPED, shipped

from course_lib.data.continuous import ContinuousPicture
from course_lib.recipes import _fields, sound_field
from course_lib.siren import Siren, coordinate_grid, psnr


def mean(runs: list[list[float]]) -> float:
    return sum(run[-1] for run in runs) / len(runs)


@pytest.mark.parametrize("name", ["image_fields", "poisson_field", "distance_field", "sound_field"])
def test_table_has_a_row_for_each_field(name):
    result = shipped(name)
    for row, (field, facts) in zip(result["table"], result["fields"].items(), strict=True):
        assert row["field"] == field and facts["parameters"] > 0


def test_siren_is_best_between_the_points_and_reaches_the_figures_of_its_authors_code():
    fields = shipped("image_fields")["fields"]
    off = {name: mean(facts["psnr"]["off"]) for name, facts in fields.items()}
    assert max(off, key=off.get) == "SIREN"
    at = shipped("image_fields")["steps"]
    for run in fields["SIREN"]["psnr"]["on"]:
        assert run[at.index(50)] > 33 and run[at.index(100)] > 38 and run[at.index(200)] > 44
    # what is best on the points is not what is best between them
    on = {name: mean(facts["psnr"]["on"]) for name, facts in fields.items()}
    assert max(on, key=on.get) == "Fourier features, scale 5" and off["Fourier features, scale 5"] < off["SIREN"] - 10


def test_small_siren_that_is_shipped_has_the_stated_psnr():
    facts = shipped("image_fields")["small"]
    with np.load(SHIPPED / "image_fields.npz") as file:
        state = {k.removeprefix("small_"): torch.from_numpy(file[k]).float() for k in file.files if k[:6] == "small_"}
    model = Siren(2, facts["width"], facts["depth"], 1, omega=facts["omega"])
    model.load_state_dict(state)
    x = coordinate_grid(64, 64)
    with torch.no_grad():
        found = psnr(model(x), 2 * ContinuousPicture(64)(x) - 1, 2.0).item()
    assert found == pytest.approx(facts["psnr"], abs=0.5)


def test_slopes_sounds_and_distances_come_out_as_the_chapter_says():
    slopes = {name: mean(f["slope"]) for name, f in shipped("poisson_field")["fields"].items()}
    assert slopes["SIREN"] < 0.01 and slopes["ReLU"] > 0.5
    snr = {name: mean(f["snr"]) for name, f in shipped("sound_field")["fields"].items()}
    assert snr["SIREN, first ω₀ = 3000"] > snr["SIREN, first ω₀ = 30"] + 20 and abs(snr["ReLU"]) < 1
    overlap = {name: np.mean(f["overlap"]) for name, f in shipped("distance_field")["fields"].items()}
    assert max(overlap, key=overlap.get) == "SIREN, ω₀ = 10" and overlap["SIREN, ω₀ = 10"] > 0.9
    lengths = {name: np.mean(f["slope"]) for name, f in shipped("distance_field")["fields"].items()}
    assert max(lengths, key=lengths.get) == "SIREN, ω₀ = 10, no eikonal term"


def test_second_of_sound_is_what_a_slower_recording_would_have(monkeypatch):
    rate, low, high = 44_100, 440.0, 9000.0  # the second is above what the slower rate can hold
    t = torch.arange(3 * rate) / rate
    clip = (0.4 * torch.sin(2 * torch.pi * low * t) + 0.3 * torch.sin(2 * torch.pi * high * t))[:, None]
    monkeypatch.setattr(sound_field, "siren_clip", lambda name: (clip, rate))
    got = sound_field.one_second(2000)[:, 0]
    expected = torch.sin(2 * torch.pi * low * (1 + torch.arange(2000) / sound_field.RATE))
    torch.testing.assert_close(got, expected / expected.abs().max(), atol=0.01, rtol=0)
    monkeypatch.setattr(sound_field, "siren_clip", lambda name: (clip, 8000))
    with pytest.raises(ValueError, match="44100 samples"):
        sound_field.one_second(10)


def test_bytes_checkpoints_and_kinds():
    assert _fields.as_bytes(torch.tensor([-2.0, -1.0, 0.0, 1.0, 9.0]), -1, 1).tolist() == [0, 0, 128, 255, 255]
    assert _fields.checkpoints(200) == (10, 20, 50, 100, 200) and _fields.checkpoints(3) == (3,)
    with pytest.raises(ValueError, match="siren, relu and fourier"):
        _fields.field("spline", 0, 2, 4, 2)
    assert sound_field.snr(torch.zeros(5), torch.ones(5)) == pytest.approx(0)
