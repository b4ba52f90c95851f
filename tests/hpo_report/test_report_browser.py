"""The page of a search in headless Chromium."""

import shutil

import pytest
from playwright.sync_api import sync_playwright
from search_samples import search

from redsm5.hpo_report.page import pictures, render

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_draws_all_pictures_without_a_complaint_or_a_request(tmp_path, scheme):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on the PATH (Debian: apt install chromium)")
    path = tmp_path / "report.html"
    path.write_text(render(search()), encoding="utf-8")
    said, asked = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(color_scheme=scheme).new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        assert page.locator(".plot .main-svg").count() >= len(pictures(search()))
        ink = page.evaluate("getComputedStyle(document.querySelector('.plot .xtick text')).fill")
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # the switch of themes
        page.keyboard.press("Enter")
        page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
        after = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (before == after) is (scheme == "dark")
        page.wait_for_timeout(300)
        now = page.evaluate("getComputedStyle(document.querySelector('.plot .xtick text')).fill")
        assert (ink == now) is (scheme == "dark")
        browser.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
