"""The whole corpus in one run of the isolated grader: every attack ends as required, and costs nobody else anything."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.attacks import corpus
from tests.attacks.active import active_content
from tests.attacks.attack import Attack
from tests.attacks.verdicts import question_points

ATTACKS = corpus.all_attacks()


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.name for attack in ATTACKS])
def test_an_attack_ends_as_required(record, attack: Attack) -> None:
    assert record["attacks"][attack.name]["broken"] == []


def test_the_run_comes_to_its_end(record) -> None:
    assert record["exit_codes"] == [0, 0]


def test_honest_neighbours_have_the_scores_that_they_have_alone(record) -> None:
    assert record["neighbours"] == record["neighbours_alone"]
    assert len(record["neighbours"]) == 6
    total = sum(question_points().values())
    best = [sum(p or 0 for p in record["neighbours"][who].values()) for who in ("aa-honest", "honest-1", "zz-honest")]
    assert best == [total] * 3


def test_nothing_outside_was_changed(record) -> None:
    assert record["changed"] == []


def test_no_service_was_reached_and_no_secret_came_to_light(record) -> None:
    assert (record["reached"], record["leaked"]) == ([], [])


def test_nothing_on_a_feedback_page_acts(record) -> None:
    assert (record["active"], record["no_feedback"]) == ({}, {})


def test_no_process_and_no_temporary_file_is_left(record) -> None:
    assert (record["left_running"], record["left_lying"]) == ([], [])


def test_every_question_that_lost_points_has_a_reason(record) -> None:
    silent = {
        (name, question)
        for name, row in record["attacks"].items()
        for question, mark in row.get("lost", {}).items()
        if mark["points"] is not None and not mark["reason"]
    }
    assert silent == set()


def test_who_has_no_grade_has_a_sentence_instead(record) -> None:
    rows = record["attacks"]
    assert [name for name, row in rows.items() if row["status"] != "graded" and not row.get("problem")] == []


def test_names_and_students_are_unique_and_the_corpus_is_large() -> None:
    assert [name for name, count in Counter(a.name for a in ATTACKS).items() if count > 1] == []
    assert [who for who, count in Counter(a.who for a in ATTACKS).items() if count > 1] == []
    assert len(ATTACKS) >= 120


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("<p>pwned &lt;script&gt;pwned()&lt;/script&gt;</p><script>other()</script>", []),
        ("<script>pwned()</script>", ["script"]),
        ("<script type='application/json'>{'pwned': 1}</script>", []),
        ("<img src=x onerror='pwned()'>", ["img[onerror]"]),
        ("<a href='java\nscript:pwned()'>x</a>", ["a[href]"]),
        ("<svg><script>pwned()</script></svg>", ["script"]),
        ("<iframe srcdoc='<b>pwned</b>'></iframe>", ["iframe[srcdoc]"]),
        ("<a href='https://pwned.example'>a link is no script</a>", []),
    ],
)
def test_what_acts_on_a_page_is_found(page: str, found: list[str]) -> None:
    assert active_content(page) == found
