"""The book's extensions, each part by itself."""

from __future__ import annotations

import re
from pathlib import Path

import icon_font
import offline_assets
import page_repairs
import pydata_sphinx_theme
import pytest
from fontTools.ttLib import TTFont
from notebook_links import launch_settings
from sphinx.errors import ExtensionError
from widget_pages import foreign_widgets


def test_assets_are_the_small_part_and_are_copied_once(tmp_path: Path) -> None:
    offline_assets.gather(tmp_path)
    files = [f for f in tmp_path.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) < 2_000_000
    for name in offline_assets.MATHJAX_LOADS:
        assert (tmp_path / "mathjax" / f"{name}.js").exists()
    assert (tmp_path / "course" / "afm-host.js").exists()
    script = (tmp_path / "mathjax" / "startup.js").read_text()
    assert len(list(tmp_path.rglob("*.woff"))) > 20 and 'VERSION="3.' in script
    before = {f: f.stat().st_mtime_ns for f in files}
    (tmp_path / "course" / "afm-host.js").unlink()
    offline_assets.gather(tmp_path)
    assert {f: f.stat().st_mtime_ns for f in files} == before


def test_missing_typesetting_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline_assets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExtensionError, match="sphinx-mathjax-offline"):
        offline_assets.mathjax_source()


def test_launch_buttons_are_off_until_named_and_the_environment_wins() -> None:
    written = {"repository": "", "branch": "notebooks", "colab": ""}
    assert not any(v for k, v in launch_settings(written, {}).items() if k != "branch")
    chosen = launch_settings(
        {**written, "colab": "https://colab.example.org"},
        {"COURSE_LAUNCH_REPOSITORY": "https://code.example.org/a/b", "COURSE_LAUNCH_BRANCH": "made"},
    )
    assert chosen["repository"] == "https://code.example.org/a/b"
    assert (chosen["branch"], chosen["colab"], chosen["binder"]) == ("made", "https://colab.example.org", "")


@pytest.mark.parametrize(
    "written, complaint",
    [
        ({"collab": "https://x.org"}, "not collab"),
        ({"repository": "code.example.org/a/b"}, "repository must be an http"),
        ({"repository": "https://x.org/a/b", "binder": "javascript:alert(1)"}, "binder must be an http"),
        ({"colab": "https://colab.example.org"}, "need the address of the repository"),
    ],
)
def test_wrong_launch_settings_are_refused(written: dict[str, str], complaint: str) -> None:
    with pytest.raises(ExtensionError, match=complaint):
        launch_settings(written, {})


def test_widgets_that_need_a_kernel_are_found() -> None:
    states = {
        "1": {"model_module": "anywidget", "model_name": "AnyModel"},
        "2": {"model_module": "@jupyter-widgets/base", "model_name": "LayoutModel"},
        "3": {"model_module": "@jupyter-widgets/controls", "model_name": "IntSliderModel"},
    }
    assert foreign_widgets(states) == ["IntSliderModel"]
    del states["3"]
    assert foreign_widgets(states) == []


BEFORE = """<script>window.MathJax = {"options": {}}</script>
<script defer src="../_static/scripts/fontawesome.js?digest=1"></script>
<div role="list" class="citation-list"><div class="citation" id="a" role="doc-biblioentry">
<button class="btn search-button-field x" title="Search" aria-label="Search">Search Ctrl+K</button>
<button class="btn theme-switch-button x" aria-label="Color mode">
<summary aria-label="Toggle hidden content">Show code cell source</summary>
<a href="i.html">Assignments</a><details open><summary><span class="toctree-toggle"></span></summary>
<div id="pst-primary-sidebar" class="y"></head>"""


def test_repairs_do_what_they_say_and_no_more_the_second_time() -> None:
    after = page_repairs.repair(BEFORE)
    assert page_repairs.repair(after) == after
    assert "fontawesome" not in after and 'role="list"' not in after and "doc-biblioentry" not in after
    assert 'title="Search">Search Ctrl+K' in after
    assert 'aria-label="Color mode: Light, Dark, System Settings"' in after
    assert "<summary>Show code cell source" in after
    assert '<summary aria-label="Show the pages under Assignments">' in after
    assert '<div id="pst-primary-sidebar" role="complementary" aria-label="Book" class="y">' in after
    assert after.count('own.theme = "light"') == 1
    for pattern, _ in page_repairs.REPAIRS:
        assert re.search(pattern, BEFORE), f"nothing tries {pattern}"


TYPESETTING = """<script>window.MathJax = {"options": {"processHtmlClass": "math"}}</script>
    <script defer="defer" src="../_static/mathjax/startup.js?v=1"></script>
    <script src="other.js"></script>"""


def test_typesetting_is_loaded_where_there_are_formulas() -> None:
    plain = f'<head>{TYPESETTING}</head><p class="mathematics">scores = math.sqrt(n)</p>'
    after = page_repairs.repair(plain)
    assert "MathJax" not in after and "mathjax" not in after
    assert '<script src="other.js"></script><script>{const own' in after and "math.sqrt" in after
    for formula in ('<span class="math notranslate nohighlight">', '<div class="amsmath math">'):
        after = page_repairs.repair(plain + formula)
        assert 'src="../_static/mathjax/startup.js?v=1"' in after and '{"processHtmlClass": "math"}' in after
        assert after.count("formula.tabIndex = 0") == 1 and page_repairs.repair(after) == after


SHEETS = """.fa-bars:before,.fa-navicon:before{content:"\\f0c9"}.fa-plus:before{content:"\\+"}
.fa-check:before{content:"\\f00c"}.fa-bars{color:red}
html{--pst-icon-bell:"\uf0f3"} .title:after{content:"\\f107";font-family:icons} .quote:before{content:"\\201C"}"""


def test_icons_kept_are_those_shown_by_name_and_by_the_style_sheets_themselves() -> None:
    always = {0xF0F3, 0xF107}
    assert icon_font.icons_shown(set(), SHEETS) == always
    assert icon_font.icons_shown({"fa-navicon", "fa-solid"}, SHEETS) == always | {0xF0C9}
    assert icon_font.icons_shown({"fa-plus", "fa-check"}, SHEETS) == always | {ord("+"), 0xF00C}


def test_cut_font_has_the_same_drawings_and_is_light(tmp_path: Path) -> None:
    static = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"
    whole = static / Path(*icon_font.FULL.parts[1:])
    sheet = (static / Path(*icon_font.SHEET.parts[1:])).read_text()
    assert len(icon_font.SOURCE.findall(sheet)) == 1
    codes = icon_font.icons_shown({"fa-bars", "fa-download"}, sheet)
    assert {0xF0C9, 0xF019} < codes
    icon_font.cut_font(whole, tmp_path / "icons.woff", codes)
    assert (tmp_path / "icons.woff").stat().st_size < 10_000
    before, after = TTFont(whole), TTFont(tmp_path / "icons.woff")
    for code in (0xF0C9, 0xF019):
        drawings = [font["glyf"][font.getBestCmap()[code]].getCoordinates(font["glyf"])[0] for font in (before, after)]
        assert drawings[0] == drawings[1] and len(drawings[0]) > 3
    assert 0xF00C not in after.getBestCmap()
