"""The box of a claim."""

import pytest

from course_lib.figures.claims import CLAIMS, Claim


def test_the_lecture_makes_eighteen_claims():
    assert list(CLAIMS) == list(range(1, 19))
    assert len(set(CLAIMS.values())) == 18


def test_the_box_states_the_claim_and_the_figure():
    box = Claim(3, "equal to  1e-7 & <less>")
    page = box._repr_html_()
    assert 'data-claim="3"' in page and "equal to 1e-7 &amp; &lt;less&gt;" in page
    assert CLAIMS[3] in page and CLAIMS[3] in repr(box)


@pytest.mark.parametrize(("number", "figure"), [(0, "0.5"), (19, "0.5"), (4, "  ")])
def test_a_claim_that_is_none_or_has_no_figure_is_refused(number, figure):
    with pytest.raises(ValueError, match="claim"):
        Claim(number, figure)
