import pytest
from hypothesis import given
from hypothesis import strategies as st

from redsm5.datamodules.sentences import split_sentences

PIECES = st.sampled_from(
    [
        ". ",
        "...",
        "…",
        "?!",
        "\n",
        "\r\n",
        "\n\n",
        " ",
        "\t",
        "\u2028",
        ":)",
        " :( ",
        "😀",
        "Dr. ",
        "e.g. ",
        '"',
        "”",
        "’",
        ")",
        "I",
        "i",
        "a",
        "B",
        "1. ",
    ]
)
TEXTS = st.lists(st.one_of(PIECES, st.characters(exclude_categories=["Cs"])), max_size=40).map("".join)


def split(text: str) -> list[str]:
    return [text[span.start : span.end] for span in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t ", []),
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("i'm tired. i can't sleep.", ["i'm tired.", "i can't sleep."]),
        ("What now?! Nothing.", ["What now?!", "Nothing."]),
        ("Dr. Smith and Mrs. Jones came.", ["Dr. Smith and Mrs. Jones came."]),
        ("I eat junk, e.g. chips. Then I cry.", ["I eat junk, e.g. chips.", "Then I cry."]),
        ("I wake at 5 a.m. every day.", ["I wake at 5 a.m. every day."]),
        ("I wake at 5 a.m. Every day.", ["I wake at 5 a.m.", "Every day."]),
        ("J. K. Rowling wrote it.", ["J. K. Rowling wrote it."]),
        ("My sister and I. We left.", ["My sister and I.", "We left."]),
        ("I just... can't. Really… no.", ["I just... can't.", "Really… no."]),
        ("I tried... Nothing helps.", ["I tried...", "Nothing helps."]),
        ("It was 3.5 hours.", ["It was 3.5 hours."]),
        ('"Why?" she asked. He left.', ['"Why?" she asked.', "He left."]),
        ("“Go.” “No.”", ["“Go.”", "“No.”"]),
        ("(He knew.) Then he left.", ["(He knew.)", "Then he left."]),
        ("I'm fine. :) Really 😀 Yes", ["I'm fine. :)", "Really 😀", "Yes"]),
        ("So **bold.** Next", ["So **bold.**", "Next"]),
        ("So tired.I can't sleep", ["So tired.", "I can't sleep"]),
        ("See www.Foo.Com today", ["See www.Foo.Com today"]),
        ("title\n\nbody", ["title", "body"]),
        ("First line\nSecond line", ["First line", "Second line"]),
        ("a line that\nis wrapped", ["a line that\nis wrapped"]),
        ("1. wake up\n2. cry", ["1. wake up", "2. cry"]),
        ("tokenised text . And more .", ["tokenised text .", "And more ."]),
        ("...", ["..."]),
    ],
)
def test_split_sentences_follows_the_rules(text, expected):
    assert split(text) == expected


@given(TEXTS)
def test_split_sentences_covers_all_but_whitespace_without_overlap(text):
    position = 0
    for span in split_sentences(text):
        assert position <= span.start < span.end <= len(text)
        assert text[position : span.start].strip() == ""
        assert text[span.start : span.end] == text[span.start : span.end].strip()
        position = span.end
    assert text[position:].strip() == ""


@pytest.mark.parametrize(
    "unit", [".", ". ", "!", "'", '."', " ", "\n", "😀", ":)", " :", "xx.X", "\t ", "^_", "<3", "a"]
)
def test_split_sentences_takes_long_runs(unit):
    # A rule that backtracks needs minutes here, and the suite's limit says so.
    text = unit * 50_000
    spans = split_sentences(text)
    assert sum(span.end - span.start for span in spans) >= len("".join(text.split())) - len(text) // 2
    assert "".join(text.split()) == "".join("".join(text[span.start : span.end].split()) for span in spans)
