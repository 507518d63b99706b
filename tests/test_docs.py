"""Pages whose tables are made from files of results."""

import runpy

from conftest import PROJECT


def test_the_page_of_costs_says_what_its_files_say():
    page = (PROJECT / "docs" / "cost.md").read_text(encoding="utf-8")
    rendered = runpy.run_path(str(PROJECT / "docs" / "cost.py"))["rendered"]
    assert rendered(page) == page, "python docs/cost.py makes it anew"
    assert page.count("<!-- end -->") >= 5
    assert "| ours: segments, top 1 |" in page
