import pytest

from redsm5.report.markup import Markup, joined, table, tag


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (tag("p", "a < b & c"), "<p>a &lt; b &amp; c</p>"),
        (tag("p", tag("b", "x"), "<b>"), "<p><b>x</b>&lt;b&gt;</p>"),
        (tag("p", title='"><script>'), '<p title="&quot;&gt;&lt;script&gt;"></p>'),
        (tag("p", class_="a", aria_label="b", hidden=None), '<p class="a" aria-label="b"></p>'),
        (tag("line", x1=1.0, x2=2.346), '<line x1="1" x2="2.35"/>'),
        (tag("circle", tag("title", "t"), r=4), '<circle r="4"><title>t</title></circle>'),
        (joined(["<", Markup("<br/>")]), "&lt;<br/>"),
    ],
)
def test_tag_escapes_what_is_not_markup(made, expected):
    assert made == expected
    assert isinstance(made, Markup)


def test_table_heads_columns_and_rows_and_has_a_name():
    made = table("Caption", ["a", "b"], [["x", "1"], ["sum", "1"]], foot=1)
    assert made.count('scope="col"') == 2
    assert '<tbody><tr><th scope="row">x</th><td>1</td></tr></tbody><tfoot>' in made
    assert 'role="region" aria-label="Caption"' in made
