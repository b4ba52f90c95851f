from __future__ import annotations

import numpy as np
import pytest
from tiny_tokenizers import FAMILIES, bert_like

from redsm5.datamodules.tokenization import TEXTS_PER_CALL, fingerprint, tokenize, visible

TEXTS = [
    "I feel gloomy.\n\nEvery morning  I wake up sleepless again.\t",
    "  Work was “busy” but fine… ",
    "naïve café \u200b 😀😀 ok",
    "[SEP] <s> [MASK] </s> struck",
    "x",
    "\n",
]


@pytest.mark.parametrize("family", FAMILIES)
def test_offsets_point_at_visible_characters_of_the_text(family):
    table = tokenize(TEXTS, FAMILIES[family]())
    for i, text in enumerate(TEXTS):
        _, offsets = table.text(i)
        pieces = [text[start:end] for start, end in offsets.tolist()]
        assert all(piece == piece.strip() for piece in pieces)
        covered = {c for start, end in offsets.tolist() for c in range(start, end)}
        missed = [text[c] for c in range(len(text)) if c not in covered and not text[c].isspace()]
        assert all(c == "\u200b" for c in missed)


@pytest.mark.parametrize("family", FAMILIES)
def test_special_tokens_in_a_text_are_text(family):
    tokenizer = FAMILIES[family]()
    table = tokenize(TEXTS, tokenizer)
    specials = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    assert not specials & set(table.ids.tolist())


@pytest.mark.parametrize("family", FAMILIES)
def test_ids_are_those_of_the_tokenizer_without_special_tokens(family):
    tokenizer = FAMILIES[family]()
    table = tokenize(TEXTS[:3], tokenizer)
    for i, text in enumerate(TEXTS[:3]):
        assert table.text(i)[0].tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]


def test_a_long_text_gives_all_its_tokens_without_a_warning(caplog):
    tokenizer = bert_like()
    tokenizer.model_max_length = 16
    table = tokenize(["gloomy " * 5000], tokenizer)
    assert len(table.ids) == 5000 * len(tokenizer("gloomy", add_special_tokens=False)["input_ids"])
    assert not caplog.records


def test_many_texts_keep_their_order():
    texts = [f"post {i}" for i in range(TEXTS_PER_CALL + 3)]
    table = tokenize(texts, bert_like())
    assert len(table) == len(texts)
    alone = tokenize(texts[-1:], bert_like())
    np.testing.assert_array_equal(table.text(len(texts) - 1)[0], alone.ids)
    assert table.lengths.sum() == len(table.ids)


def test_no_texts_give_an_empty_table():
    table = tokenize([], bert_like())
    assert len(table) == 0
    assert table.offsets.shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "offsets", "expected"),
    [
        (" ab c", [(0, 3), (3, 5)], [(1, 3), (4, 5)]),
        ("ab \n c", [(0, 2), (2, 4), (4, 6)], [(0, 2), (4, 4), (5, 6)]),
        ("ab  ", [(0, 4)], [(0, 2)]),
        ("   ", [(0, 1), (1, 3)], [(1, 1), (3, 3)]),
        ("ab", [(1, 1)], [(1, 1)]),
    ],
)
def test_visible(text, offsets, expected):
    result = visible(np.array(offsets, dtype=np.int32), text)
    assert [tuple(row) for row in result.tolist()] == expected


def test_fingerprint_depends_on_encoder_revision_and_rules():
    tokenizer = bert_like()
    known = fingerprint(tokenizer, "a", None)
    assert known == fingerprint(bert_like(), "a", None)
    tokenizer("some text", truncation=False)
    assert known == fingerprint(tokenizer, "a", None)
    others = {fingerprint(tokenizer, "b", None), fingerprint(tokenizer, "a", "main")}
    others |= {fingerprint(FAMILIES[family](), "a", None) for family in ("roberta", "deberta")}
    assert len(others | {known}) == 5
