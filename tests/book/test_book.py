"""The book that `make book` has written: every page opens in a browser, whole and without the network."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from matplotlib.image import imread

BOOK = Path(__file__).parents[2] / "build" / "book"
PAGES = sorted(path for path in BOOK.rglob("*.html") if "_static" not in path.parts and path.name != "index.html")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.book


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(BOOK)))
def test_a_page_opens_with_all_its_pictures_and_asks_nothing_of_the_network(page):
    text = page.read_text(encoding="utf-8")
    for source in re.findall(r'<(?:img|script)[^>]*\ssrc="([^"#?]+)', text) + re.findall(
        r'<link[^>]*href="([^"#?]+)', text
    ):
        assert not source.startswith(("http", "//")), source
        if source.endswith(".png"):
            assert min(imread(page.parent / source).shape[:2]) > 40
        elif not source.startswith("data:"):
            assert (page.parent / source).exists(), source
    if BROWSER is None:
        pytest.skip("no Chromium here: apt install chromium")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
    assert "<h1>" in shown or page.name in ("genindex.html", "search.html")


def test_the_book_has_a_page_for_each_notebook_and_the_panel_of_the_model():
    notebooks = sorted(path.stem for path in (BOOK.parents[1] / "notebooks").glob("*.ipynb"))
    assert [page.stem for page in PAGES if page.parent.name == "notebooks"] == notebooks
    page = (BOOK / "notebooks" / "02_one_run.html").read_text(encoding="utf-8")
    assert page.count("<img") >= 2 and "Ask the model" in page
