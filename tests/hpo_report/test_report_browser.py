"""The page of a search in headless Chromium."""

import shutil
from contextlib import contextmanager

import pytest
from playwright.sync_api import sync_playwright
from search_samples import search

from redsm5.hpo_report.page import render
from redsm5.hpo_report.sections import sections

pytestmark = pytest.mark.browser
INK = "getComputedStyle(document.querySelector('.plot .xtick text')).fill"
PAPER = "getComputedStyle(document.body).backgroundColor"
LIGHT_INK = "rgb(34, 37, 43)"


@pytest.fixture(scope="module")
def report():
    return search(120)


@pytest.fixture(scope="module")
def path(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(report), encoding="utf-8")
    return path


def wait_for(page, condition):
    """Until a condition holds. Not by ``wait_for_function``, whose ``eval`` the page's own policy forbids."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(condition)


@contextmanager
def opened(path, scheme, said=None, asked=None):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on the PATH (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900}).new_page()
        page.on("console", lambda message: said.append(message.text) if said is not None else None)
        page.on("pageerror", lambda error: said.append(str(error)) if said is not None else None)
        page.on("request", lambda request: asked.append(request.url) if asked is not None else None)
        page.set_default_timeout(120_000)  # of a machine that is busy
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        yield page
        browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_draws_all_pictures_without_a_complaint_or_a_request(report, path, scheme):
    said, asked = [], []
    with opened(path, scheme, said, asked) as page:
        # Of each plot: axes that were drawn, and marks in them.
        drawn = page.evaluate(
            "[...document.querySelectorAll('.plot')].map(plot =>"
            " plot.querySelectorAll('.xtick text').length > 0"
            " && plot.querySelectorAll('.trace path, .point path, .hm image, .scatterlayer path').length > 0)"
        )
        assert drawn == [True] * sum(one.draw is not None for one in sections(report))
        ink, before = page.evaluate(INK), page.evaluate(PAPER)
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # the switch of themes
        page.keyboard.press("Enter")
        wait_for(page, "document.documentElement.dataset.theme === 'dark'")
        assert (before == page.evaluate(PAPER)) is (scheme == "dark")
        page.wait_for_timeout(300)
        assert (ink == page.evaluate(INK)) is (scheme == "dark")
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.parametrize("by_switch", [False, True])
def test_print_is_dark_on_light_and_fits_the_paper_whatever_the_theme(path, by_switch):
    with opened(path, "light" if by_switch else "dark") as page:
        if by_switch:
            page.locator("#theme").click()
            page.locator("#theme").click()
            page.wait_for_timeout(300)
        ink, width = page.evaluate(INK), page.evaluate("document.querySelector('.main-svg').clientWidth")
        assert ink != LIGHT_INK
        trials = page.locator("section", has_text="Values over trials").locator("details").first
        trials.evaluate("details => { details.open = true; }")  # a long one, that the reader opened
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate(INK) == LIGHT_INK
        assert page.evaluate(PAPER) == "rgb(252, 251, 249)"
        assert page.evaluate("Math.max(...[...document.querySelectorAll('.main-svg')].map(s => s.clientWidth))") <= 700
        opened_now = page.evaluate(
            "[...document.querySelectorAll('details')].map(d => [d.open, d.querySelectorAll('tr').length])"
        )
        assert trials.evaluate("details => details.open && details.querySelectorAll('tr').length === 121")
        assert all(is_open for is_open, rows in opened_now if rows <= 60)
        page.emulate_media(media="screen")
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.evaluate(INK) == ink
        wait_for(page, f"document.querySelector('.main-svg').clientWidth === {width}")
        assert page.evaluate("document.querySelectorAll('details[open]').length") == 1
