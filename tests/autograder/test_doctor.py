"""What `autograder doctor` says of isolation: what there is, why not the rest, and what would help."""

from __future__ import annotations

import pytest

from autograder import doctor
from autograder.course import Course
from autograder.sandbox import tiers
from autograder.sandbox.remedies import System

NONE = {"namespaces": "unshare: Operation not permitted", "bwrap": "install the package bubblewrap",
        "container": "install Docker or Podman"}  # fmt: skip


def test_this_machine_is_tried_for_real(tmp_path) -> None:
    text = "\n".join(doctor.examine(Course.at(tmp_path / "course")))
    for name, tier in tiers.TIERS.items():
        why = tier.lack()
        assert f"\n  {name:<12} " + (f"no: {why}" if why else "yes") in text
    best = tiers.choose(None)[0]
    assert (f"(tier: {best.name})" if best else "cannot be isolated here") in text
    for word in ("python ", "torch ", "nbgrader ", "accelerator ", "alembic ", "cores ", "disk ", "autograder release"):
        assert word in text


def test_of_better_ones_than_the_best_there_is_it_says_how_to_have_them() -> None:
    lines = doctor.isolation(NONE | {"bwrap": ""}, System(distribution="debian"))
    assert lines[0].startswith("Student code is graded in isolation (tier: bwrap)")
    assert lines[1] == "  namespaces   no: unshare: Operation not permitted"
    assert "to have it" in lines[2] and lines[3] == "  bwrap        yes"
    assert lines[4:] == ["  container    no: install Docker or Podman"]  # it would not be used


def test_with_none_it_says_that_grading_is_refused_and_how_to_have_each() -> None:
    text = "\n".join(doctor.isolation(NONE, System(distribution="debian")))
    assert "refuses" in text and "--isolation none" in text and text.count("to have it") == 3


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (System(distribution="debian"), ["sudo apt-get install -y bubblewrap", "sudo apt-get install -y podman"]),
        (System(distribution="fedora"), ["sudo dnf install -y bubblewrap", "sudo dnf install -y podman"]),
        (System(), ["apt-get install -y podman` (Debian, Ubuntu) or `sudo dnf install -y podman` (Fedora)"]),
        (System(settings={"kernel.apparmor_restrict_unprivileged_userns": "1"}),
         ["kernel.apparmor_restrict_unprivileged_userns=0", "sudo sysctl --system"]),
        (System(settings={"kernel.unprivileged_userns_clone": "0", "user.max_user_namespaces": "0"}),
         ["kernel.unprivileged_userns_clone=1", "user.max_user_namespaces=15000"]),
        (System(in_container=True), ["seccomp=unconfined", "systempaths=unconfined", "grade outside of this"]),
        (System(release="4.4.0-19041-Microsoft"), ["this is WSL 1", "wsl --set-version"]),
        (System(platform="win32"), ["wsl --install"]),
        (System(platform="darwin"), ["only Linux has them", "brew install podman"]),
    ],
)  # fmt: skip
def test_the_remedy_is_that_of_the_system(system: System, words: list[str]) -> None:
    text = "\n".join(doctor.isolation(NONE, system))
    for word in words:
        assert word in text


def test_this_system_is_looked_at() -> None:
    here = System.here()
    assert here.platform and here.distribution in ("debian", "fedora", "")
