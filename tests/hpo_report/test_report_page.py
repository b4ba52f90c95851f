import html
import json
import re

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from search_samples import of_rows, search, several_objectives

from redsm5.hpo_report.axes import domain_of
from redsm5.hpo_report.markdown import markdown
from redsm5.hpo_report.page import render
from redsm5.hpo_report.sections import sections

PICTURES = [
    "Values over trials", "Importance of the parameters", "Importance of the groups",
    "The important parameters together", "Slices", "lr and peft", "Reports and pruning", "How trials ended",
    "Durations", "Where the time went", "Memory", "Storage", "Failures",
]  # fmt: skip


@pytest.fixture(scope="module")
def report():
    return search(120)


@pytest.fixture(scope="module")
def page(report):
    return render(report)


def cells_of(markup):
    """Rows of the only table in it."""
    assert markup.count("<table") == 1
    body = markup.partition("<tbody>")[2].partition("</tbody>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", body)
    return tuple(tuple(html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)) for row in rows)


def test_page_stands_alone_and_allows_no_request(page):
    assert "default-src 'none'" in page
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)=\"(?!#)", own)


def test_page_escapes_what_users_name(page):
    assert "Search made &lt;up&gt;" in page
    assert "<up>" not in page


def test_every_picture_has_a_table_of_its_own(report, page):
    shown = [one for one in sections(report) if one.draw]
    assert [one.title for one in shown] == PICTURES
    tables = {}
    for markup in re.findall(r"<section .*?</section>", page, flags=re.DOTALL):
        title = html.unescape(re.search("<h2>(.*?)</h2>", markup).group(1))
        tables[title] = cells_of(markup)
        assert ('class="plot"' in markup) is (title in PICTURES)
        assert tables[title] == next(one.table.rows for one in sections(report) if one.title == title)
    assert len(set(tables.values())) == len(tables) == len(sections(report))
    assert all(tables.values())


def test_every_picture_of_the_page_is_among_its_data(page):
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])["figures"]
    assert set(data) == set(re.findall(r'data-figure="(\d+)"', page))
    assert len(data) == len(PICTURES)


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_page_of_few_trials_says_what_there_is(number):
    page = render(search(number))
    assert f"{number} of 100 trials have ended" in page


def test_page_of_several_objectives_shows_the_front():
    assert "Pareto front" in [one.title for one in sections(several_objectives())]


def test_markdown_has_the_sentences_and_all_tables(report):
    text = markdown(report)
    assert text.startswith("# Search made <up>\n\n120 of 100 trials have ended")
    assert "| failed trials | none | 1 | not met |" in text
    for one in sections(report):
        part = text.partition(f"## {one.title}\n")[2].partition("\n## ")[0]
        assert part.count("\n| ") == len(one.table.rows) + 2
        assert one.says in part


def test_markdown_of_a_terminal_is_cut_and_says_so(report):
    text = markdown(report, most=25)
    trials = text.partition("## Values over trials\n")[2].partition("\n## ")[0]
    assert trials.count("\n| ") == 27
    assert "and 95 more rows; --out FILE has all" in trials


def test_page_of_a_thousand_trials_is_below_10_mb():
    """118 parameters, 100 epochs each, values with all their digits."""
    draw = np.random.default_rng(0)
    space = {
        f"parameter_{n}": CategoricalDistribution([f"some/choice-{k}" for k in range(30)])
        if n % 3 == 0
        else FloatDistribution(1e-6, 1.0, log=n % 3 == 1)
        for n in range(118)
    }
    rows = []
    for n in range(1000):
        params = {
            name: one.choices[draw.integers(30)] if isinstance(one, CategoricalDistribution) else float(draw.uniform())
            for name, one in space.items()
        }
        curve = [(epoch, float(draw.uniform())) for epoch in range(100)]
        state = ["PRUNED", "COMPLETE", "COMPLETE"][n % 3]
        rows.append(
            {"value": float(draw.uniform()), "state": state, "curve": curve, "params": params, "epochs": 100,
             "seconds": float(draw.uniform(1, 1000)), "memory_gb": float(draw.uniform(1, 20)), "best": 0.5}
        )  # fmt: skip
    made = of_rows(*rows, leading=list(space)[:20], domains={name: domain_of(one) for name, one in space.items()})
    page = render(made)
    assert page.count('class="plot"') >= 12
    assert len(page.encode()) < 10_000_000
