"""The view page in headless Chromium: what a reader sees, clicks and types."""

import re
import shutil
from contextlib import contextmanager

import pytest
from playwright.sync_api import sync_playwright
from view_samples import EVIDENCE, SPECIAL_ID, SPECIAL_TEXT, write_sample_corpus, write_sample_run

from redsm5.run.view import write_predictions_view, write_run_view

pytestmark = pytest.mark.browser

PANELS = ("posts", "criteria", "curves", "confusion", "training")


@pytest.fixture(scope="module")
def browser(request):
    chromium = shutil.which("chromium")
    if chromium is None:
        said = "there is no chromium on the PATH (Debian: apt install chromium)"
        if "browser" in (request.config.getoption("-m") or "").split():
            pytest.fail(said)
        pytest.skip(said)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The page of a run's test part, and one of predictions alone."""
    folder = tmp_path_factory.mktemp("view")
    corpus = write_sample_corpus(folder / "corpus")
    run = write_sample_run(folder / "run", corpus)
    alone = write_predictions_view(
        run, run.predictions("test"), str(corpus / "redsm5_posts.csv"), folder / "predictions.html"
    )
    return {"run": write_run_view(run, "test"), "predictions": alone}


@pytest.fixture
def opened(browser, files):
    """Opens a page; afterwards it must not have complained, nor asked for anything."""
    complaints, requests, contexts = [], [], []

    def open_page(which="run", *, hash_="", width=1400, height=900, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(files[which].as_uri() + hash_)
        page.wait_for_selector("html[data-ready=yes]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert all(url.startswith("file://") and url.partition("#")[0].endswith(".html") for url in requests)
    assert len(requests) == len(contexts)


def chosen(page):
    return page.locator("#post-id").inner_text()


def shown_rows(page):
    return page.locator("#list li:not([hidden])")


@contextmanager
def untouched_title(page):
    before = page.title()
    yield
    assert page.title() == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("panel", PANELS)
def test_panels_fit_a_phone_in_both_schemes(opened, panel, scheme):
    page = opened(hash_=f"#tab={panel}", width=390, height=844, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(f"#panel-{panel}").is_visible()
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(float(channel) for channel in re.findall(r"[\d.]+", paper)[:3])
    assert (brightness > 382) == (scheme == "light")


@pytest.mark.parametrize("width", [390, 700, 1000, 1400])
def test_text_and_criteria_of_a_post_never_overlap(opened, width):
    page = opened(hash_=f"#post={SPECIAL_ID}", width=width, height=700)
    text, table = (page.locator(selector).bounding_box() for selector in ("#text", "#verdicts table"))
    beside = table["x"] >= text["x"] + text["width"]
    below = table["y"] >= text["y"] + text["height"]
    assert beside or below


def test_row_of_the_chosen_post_is_in_view(opened):
    page = opened(hash_=f"#post={SPECIAL_ID}", width=1000, height=800)
    row = page.locator("#list li[aria-selected=true]").bounding_box()
    listed = page.locator("#list").bounding_box()
    assert listed["y"] <= row["y"]
    assert row["y"] + row["height"] <= listed["y"] + listed["height"] + 1


def test_markup_in_a_post_stays_text_and_offsets_count_characters(opened):
    page = opened(hash_=f"#post={SPECIAL_ID}")
    with untouched_title(page):
        assert page.title().endswith("test part")
        assert page.locator("#text script, #text img").count() == 0
        segments = page.locator("#text .seg")
        assert "".join(segments.all_text_contents()) == SPECIAL_TEXT
    gold = page.locator("#text .seg[data-gold]")
    assert "".join(gold.all_text_contents()) == EVIDENCE
    assert page.locator("#text .seg[data-model]").first.text_content() == EVIDENCE[:-2]
    hard = page.locator("#text .seg[data-hard]")
    assert hard.all_text_contents() == ["My phone is dead tired."]


def test_overlapping_criteria_have_a_line_a_band_and_a_label_each(opened):
    page = opened(hash_=f"#post={SPECIAL_ID}")
    both = page.locator("#text .seg[data-model]").first
    assert both.get_attribute("data-gold") == "3 6"
    assert both.get_attribute("data-model") == "3 6"
    style = both.evaluate("e => { const s = getComputedStyle(e); return [s.backgroundPosition, s.backgroundSize]; }")
    positions = style[0].split(", ")  # two underlines, then two tints
    assert len(positions) == 4
    assert positions[0] != positions[1]
    assert positions[2] != positions[3]
    assert style[1].split(", ").count("100% 50%") == 2  # nor do the tints
    assert page.locator("#text .chip .key").all_text_contents()[:2] == ["SI", "WO"]


def test_filters_leave_the_posts_that_they_say(opened):
    page = opened()
    posts = page.evaluate("JSON.parse(document.getElementById('data').textContent).posts")
    assert shown_rows(page).count() == len(posts)

    def expected(test):
        return [p["id"] for p in posts if test(p)]

    def ids():
        return page.locator("#list li:not([hidden]) .row-id").all_text_contents()

    cases = [
        ("", "wrong", lambda p: p["labels"] != p["decided"]),
        ("", "right", lambda p: p["labels"] == p["decided"]),
        ("3", "all", lambda p: p["labels"][3] or p["decided"][3]),
        ("3", "right", lambda p: p["labels"][3] and p["decided"][3]),
        ("3", "missed", lambda p: p["labels"][3] and not p["decided"][3]),
        ("0", "alarm", lambda p: p["decided"][0] and not p["labels"][0]),
        ("3", "rest", lambda p: not p["decided"][3] and not p["labels"][3]),
    ]
    for criterion, outcome, test in cases:
        page.select_option("#criterion", criterion)
        page.select_option("#outcome", outcome)
        assert ids() == expected(test), (criterion, outcome)
    page.select_option("#criterion", "5")
    page.select_option("#outcome", "all")
    page.check("#hard")
    hard = expected(lambda p: p["hard"][5])
    assert SPECIAL_ID in hard
    assert ids() == hard
    page.fill("#search", "S_900")
    assert ids() == [SPECIAL_ID]
    assert chosen(page) == SPECIAL_ID
    page.fill("#search", "nothing")
    assert page.locator("#count").inner_text() == "No post passes the filters."


def test_everything_is_reached_by_keyboard(opened):
    page = opened()
    first = chosen(page)
    page.keyboard.press("j")
    second = chosen(page)
    assert second != first
    page.keyboard.press("ArrowUp")
    assert chosen(page) == first
    page.keyboard.press("End")
    assert page.locator("#next").is_disabled()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("900")
    assert chosen(page) == SPECIAL_ID
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "list"
    assert page.locator("#list").get_attribute("aria-activedescendant") == page.locator(
        "#list li[aria-selected=true]"
    ).get_attribute("id")


def test_tab_goes_through_the_page_with_a_visible_focus(opened):
    page = opened()
    seen = []
    for _ in range(16):
        page.keyboard.press("Tab")
        name, width, style = page.evaluate(
            "(e => [e.id || e.className, getComputedStyle(e).outlineWidth, getComputedStyle(e).outlineStyle])"
            "(document.activeElement)"
        )
        assert (style != "none" and float(width.removesuffix("px")) >= 1) or style == "auto", name
        seen.append(name)
    assert seen[:9] == ["skip", "theme", "tab-posts", "search", "criterion", "outcome", "hard", "list", "next"]
    assert "criterion" in seen[9:]  # the criteria of the post


def test_skip_link_goes_to_the_text(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.locator("#skip").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "reading"


def test_tabs_follow_the_arrow_keys(opened):
    page = opened()
    page.focus("#tab-posts")
    for panel in (*PANELS[1:], "posts"):
        page.keyboard.press("ArrowRight")
        assert page.locator("[role=tab][aria-selected=true]").get_attribute("id") == f"tab-{panel}"
        visible = page.locator(".panel:visible").evaluate_all("nodes => nodes.map(n => n.id)")
        assert visible == [f"panel-{panel}"]
    page.keyboard.press("End")
    assert "tab=training" in page.url
    before = chosen(page) if page.locator("#post-id").is_visible() else page.locator("#post-id").text_content()
    page.keyboard.press("j")
    assert page.locator("#post-id").text_content() == before  # posts do not move unseen


def test_curves_are_drawn_and_have_tables_behind_them(opened):
    page = opened(hash_="#tab=curves")
    cards = page.locator("#panel-curves .card")
    assert cards.count() == 10
    for i in range(10):
        card = cards.nth(i)
        if "No post has this criterion" in card.inner_text():
            continue
        path = card.locator("path.curve")
        box = path.bounding_box()
        assert box["width"] > 100
        assert path.evaluate("e => getComputedStyle(e).stroke") != "none"
        assert card.locator("circle.bin").count() >= 1
    assert not cards.first.locator("table").first.is_visible()
    cards.first.locator("summary").press("Enter")
    assert cards.first.locator("table").count() == 2
    assert cards.first.locator("table").first.is_visible()
    assert page.locator("svg:not([role=img][aria-label])").count() == 0


def test_training_marks_the_kept_epoch(opened):
    page = opened(hash_="#tab=training")
    lines = page.locator("#panel-training line.best")
    assert lines.count() == page.locator("#panel-training svg").count() == 2
    assert lines.first.bounding_box()["height"] > 50
    assert "kept epoch, 1" in page.locator("#panel-training").inner_text()


def test_numbers_of_the_confusion_show_their_posts(opened):
    page = opened(hash_="#tab=confusion")
    button = page.locator("button.jump[data-outcome=right]").first
    count = int(button.inner_text())
    button.press("Enter")
    assert page.locator("#panel-posts").is_visible()
    assert shown_rows(page).count() == count
    assert page.evaluate("document.activeElement.id") == "list"
    assert page.locator("#outcome").input_value() == "right"


def test_criterion_of_a_post_shows_its_spans_alone(opened):
    page = opened(hash_=f"#post={SPECIAL_ID}")
    button = page.locator("button.criterion[data-k='3']")
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    both = page.locator("#text .seg[data-model]").first
    assert both.evaluate("e => getComputedStyle(e).backgroundSize.split(', ').length") == 2
    page.keyboard.press("Escape")
    assert button.get_attribute("aria-pressed") == "false"


def test_theme_button_overrides_the_scheme(opened):
    page = opened(scheme="light")
    page.click("#theme")
    page.click("#theme")
    assert page.locator("#theme").inner_text() == "Theme: dark"
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"


def test_predictions_alone_have_no_tabs_and_no_gold(opened):
    page = opened("predictions", hash_="#tab=curves")
    assert page.locator("[role=tab]").count() == 0
    assert page.locator("#panel-posts").is_visible()
    assert page.locator("#outcome option").all_text_contents() == ["All posts", "Some criterion", "No criterion"]
    assert "Gold" not in page.locator("#columns").inner_text()
    page.select_option("#outcome", "some")
    assert 0 < shown_rows(page).count() < page.locator("#list li").count()


def test_escape_in_the_search_empties_it_and_shows_all_posts(opened):
    page = opened()
    everything = shown_rows(page).count()
    page.keyboard.press("/")
    page.keyboard.type(SPECIAL_ID)
    assert shown_rows(page).count() == 1
    page.keyboard.press("Escape")
    assert page.locator("#search").input_value() == ""
    assert shown_rows(page).count() == everything
    assert page.evaluate("document.activeElement.id") == "list"
    page.keyboard.press("/")
    page.keyboard.type(SPECIAL_ID)
    assert shown_rows(page).count() == 1


def test_escape_shows_all_criteria_of_the_post_then_all_posts(opened):
    page = opened(hash_=f"#post={SPECIAL_ID}")
    everything = shown_rows(page).count()
    page.locator("#criterion").select_option("3")
    page.locator("#hard").check()
    filtered = shown_rows(page).count()
    assert filtered < everything
    page.locator("#list").focus()
    page.locator("button.criterion").first.click()
    assert page.locator("button.criterion[aria-pressed=true]").count() == 1
    page.keyboard.press("Escape")
    assert page.locator("button.criterion[aria-pressed=true]").count() == 0
    assert shown_rows(page).count() == filtered
    page.keyboard.press("Escape")
    assert shown_rows(page).count() == everything
    assert page.locator("#criterion").input_value() == ""
    assert not page.locator("#hard").is_checked()
