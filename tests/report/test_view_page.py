import json
import re
import stat

import pytest

from redsm5.datamodules.corpus import Span
from redsm5.metrics.records import GoldPost, PredictedPost, ScoredSpan
from redsm5.report.markup import tag
from redsm5.report.view_page import embedded_json, write_view_page
from redsm5.report.view_posts import criterion_marks, page_data

CODES = ("SLEEP_ISSUES", "FATIGUE")
TEXT = "I 😀 cannot sleep. <script>alert(1)</script> & </script> So tired."
EVIDENCE = Span(TEXT.index("cannot"), TEXT.index("sleep") + 5)
GOLD = GoldPost(
    post_id="s_1_1",
    author="1",
    labels=(1, 0),
    evidence=((EVIDENCE,), ()),
    unaligned=(False, False),
    hard_negatives=((), (Span(0, 1),)),
    sentences=(Span(0, len(TEXT)),),
)
PREDICTED = PredictedPost("s_1_1", (0.9, 0.2), ((ScoredSpan(EVIDENCE.start, EVIDENCE.end, 2.5),), ()))


DATA = {
    "texts": {"s_1_1": TEXT},
    "gold": [GOLD],
    "predicted": [PREDICTED],
    "decisions": [(True, False)],
    "codes": CODES,
    "titles": ("Sleep", "Fatigue"),
    "thresholds": (0.5, 0.5),
}


def write(path, **changes):
    write_view_page(
        path,
        heading='Run <b>"x"</b> é',
        facts=[("macro F1 <b>", ".8")],
        data=page_data(**{**DATA, **changes}),
        panels={"Curves": tag("p", "a < b é")},
    )
    return path.read_text(encoding="ascii")


def embedded(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_page_holds_post_text_as_data_and_never_as_markup(tmp_path):
    page = write(tmp_path / "page.html")
    assert "alert(1)" in embedded(page)["posts"][0]["text"]
    assert "<script>alert" not in page
    assert "<b>" not in page
    assert page.count("<script") == 2
    assert embedded(page)["posts"][0]["text"] == TEXT


def test_page_offsets_count_characters_as_python_does(tmp_path):
    post = embedded(write(tmp_path / "page.html"))["posts"][0]
    (start, end, score, hit), *_ = post["spans"][0]
    assert TEXT[start:end] == "cannot sleep"
    assert (score, hit) == (2.5, 1)
    assert post["gold"][0] == [[EVIDENCE.start, EVIDENCE.end]]
    assert post["decided"] == [1, 0]
    assert post["hard"][1] == [[0, 1]]


def test_page_needs_no_network(tmp_path):
    page = write(tmp_path / "page.html")
    assert not re.search(r"(?:src|href)\s*=|https?://|@import|url\(", page)
    assert "default-src 'none'" in page


def test_page_is_readable_by_its_owner_only_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_page_without_gold_shows_predictions_alone(tmp_path):
    data = embedded(write(tmp_path / "page.html", gold=None))
    assert data["has_gold"] is False
    assert "gold" not in data["posts"][0]
    assert data["posts"][0]["spans"][0][0][3] is None


def test_page_decisions_are_those_given_and_not_taken_again(tmp_path):
    data = embedded(write(tmp_path / "page.html", decisions=[(False, True)]))
    assert data["posts"][0]["decided"] == [0, 1]


def test_page_has_a_tab_for_posts_and_one_per_panel(tmp_path):
    page = write(tmp_path / "page.html")
    assert re.findall(r'aria-controls="([^"]+)"', page) == ["panel-posts", "panel-curves"]
    assert 'aria-labelledby="tab-posts"' in page
    assert "a &lt; b &#233;" in page
    write_view_page(tmp_path / "page.html", heading="x", facts=[], data=page_data(**DATA), panels={})
    assert 'role="tab' not in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [({"texts": {}}, "has no text"), ({"gold": []}, "has no gold"), ({"thresholds": (0.5,)}, "1 thresholds")],
)
def test_page_data_refuses_what_does_not_belong_together(change, said):
    with pytest.raises(ValueError, match=said):
        page_data(**{**DATA, **change})


def test_embedded_json_has_nothing_that_ends_a_script():
    text = embedded_json({"a": "</script><!--  & <"})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"a": "</script><!--  & <"}


def test_criterion_marks_are_short_and_different():
    codes = ["DEPRESSED_MOOD", "ANHEDONIA", "DARK_MATTER", "ANGER", "SLEEP_ISSUES"]
    marks = criterion_marks(codes)
    assert marks[0] == "DM"
    assert marks[1] == "AN"
    assert len(set(marks)) == len(codes)
    assert all(len(mark) == 2 for mark in marks)
