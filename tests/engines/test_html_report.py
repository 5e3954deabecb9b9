"""The page of sections: what a reader sees, and nothing that a text could smuggle in."""

from __future__ import annotations

from pathlib import Path

from engines.html_report import Banner, Figure, Section, Table, inline_svg, write_page

DRAWING = '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg width="9pt"><path d="M0 0"/></svg>\n'


def test_a_page_holds_what_it_was_given_and_escapes_it(tmp_path: Path) -> None:
    section = Section(
        title="Errors <by> label",
        paragraphs=("A & B",),
        tables=(Table(("label", "F1"), (("<script>", "0.5"),), caption="per label"),),
        figures=(Figure(inline_svg(DRAWING, 'a "curve"'), "Falls."),),
    )
    banner = Banner("pass", "may be served", ("no label moved",))
    path = write_page(tmp_path / "deep" / "report.html", "sentiment 2", banner, [section])
    page = path.read_text(encoding="utf-8")
    assert "<h2>Errors &lt;by&gt; label</h2>" in page
    assert "<p>A &amp; B</p>" in page
    assert "<td>&lt;script&gt;</td><td>0.5</td>" in page
    assert '<svg role="img" aria-label="a &quot;curve&quot;" width="9pt">' in page
    assert '<section class="banner pass"><strong>may be served</strong>' in page
    assert "<li>no label moved</li>" in page
    assert "<?xml" not in page
    assert "http" not in page
    assert [each.name for each in path.parent.iterdir()] == ["report.html"]


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    sections = [Section("Speed", tables=(Table(("shape", "ms"), (("1x32", "2.0"),)),))]
    first = write_page(tmp_path / "a.html", "t", None, sections)
    second = write_page(tmp_path / "b.html", "t", None, sections)
    assert first.read_bytes() == second.read_bytes()
