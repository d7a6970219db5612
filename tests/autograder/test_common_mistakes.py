"""The box of common mistakes prints what the checks say, and knows no mistake that they do not know."""

import pytest

from autograder import checks
from autograder.common_mistakes import CommonMistakes


def test_it_prints_the_advice_and_what_the_check_finds():
    mistake = checks.load("attention.softmax").mistakes[0]
    box = CommonMistakes("attention", f"softmax.{mistake.name}")
    text, page = repr(box), box._repr_html_()
    assert mistake.says in text and "cases pass" in text
    assert text.count("softmax: ") == page.count("<li>") == 1
    titles = [case.title for case in checks.load("attention.softmax").cases]
    assert any(title in text for title in titles)


def test_code_in_backticks_becomes_code_and_nothing_else_becomes_a_tag():
    mistakes = [m for m in checks.load("attention.attend").mistakes if "`" in m.says]
    page = CommonMistakes("attention", f"attend.{mistakes[0].name}")._repr_html_()
    assert "`" not in page and page.count("<code>") >= 2


@pytest.mark.parametrize("name", ["softmax.no_such", "softmax"])
def test_an_unknown_mistake_is_refused_with_those_there_are(name):
    with pytest.raises(ValueError, match=r"no known mistake .* there are: \w+"):
        CommonMistakes("attention", name)


def test_an_unknown_exercise_is_refused():
    with pytest.raises(ValueError, match="no exercise is called"):
        CommonMistakes("attention", "hard_max.wrong")
