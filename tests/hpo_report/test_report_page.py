import re

import pytest
from search_samples import search, two_objectives

from redsm5.hpo_report.markdown import markdown
from redsm5.hpo_report.page import pictures, render


@pytest.fixture(scope="module")
def page():
    return render(search())


def test_page_stands_alone_and_allows_no_request(page):
    assert "default-src 'none'" in page
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)=\"(?!#)", own)
    assert len(page) < 10_000_000


def test_page_escapes_what_users_name(page):
    assert "Search made &lt;up&gt;" in page
    assert "<up>" not in page


def test_every_picture_has_a_table(page):
    shown = pictures(search())
    assert page.count('class="plot"') == len(shown) >= 12
    for number in range(len(shown)):
        section = page.partition(
            f'<section id="p{number}">' if f'<section id="p{number}">' in page else f'id="p{number}"'
        )[2]
        assert "As a table" in section.partition("</section>")[0]


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_page_of_few_trials_says_what_there_is(number):
    page = render(search(number))
    assert f"{number} of 100 trials have ended" in page


def test_page_of_several_objectives_shows_the_front():
    assert "Pareto front" in [picture.title for picture in pictures(two_objectives())]


def test_markdown_has_the_sentences_and_tables():
    report = search()
    text = markdown(report)
    assert text.startswith("# Search made <up>\n\n60 of 100 trials have ended")
    assert "| failed trials | none | 1 | not met |" in text
    for one in report.importances:
        assert f"| {one.name} | {one.group} | {one.importance:.2%} |" in text
