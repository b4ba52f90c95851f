import json

import pytest

from redsm5.datamodules.corpus import Criterion
from redsm5.datamodules.criteria import load_criteria
from redsm5.errors import UserError


def test_load_criteria_packages_the_nine_symptoms_in_order():
    criteria = load_criteria(None)
    assert [criterion.code for criterion in criteria] == [
        "DEPRESSED_MOOD",
        "ANHEDONIA",
        "APPETITE_CHANGE",
        "SLEEP_ISSUES",
        "PSYCHOMOTOR",
        "FATIGUE",
        "WORTHLESSNESS",
        "COGNITIVE_ISSUES",
        "SUICIDAL_THOUGHTS",
    ]
    assert len({criterion.title for criterion in criteria}) == len({criterion.text for criterion in criteria}) == 9


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.json", '[{"code": "SAD_MOOD", "title": "Sad mood", "text": "feels sad"}]'),
        ("c.json", '[{"code": "SAD_MOOD", "text": " feels sad "}]'),
        ("c.json", '\ufeff{"SAD_MOOD": "feels sad"}'),
        ("c.json", '{"SAD_MOOD": {"title": "Sad mood", "text": "feels sad"}}'),
        ("c.yaml", "- code: SAD_MOOD\n  text: feels sad\n"),
        ("c.yml", "SAD_MOOD: feels sad\n"),
        ("c.yaml", "SAD_MOOD: {text: feels sad}\n"),
    ],
)
def test_load_criteria_reads_every_accepted_shape(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert load_criteria(str(tmp_path / name)) == (Criterion("SAD_MOOD", "Sad mood", "feels sad"),)


def test_load_criteria_keeps_the_order_of_the_file(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps({"B": "b", "A": "a", "C": "c"}))
    assert [criterion.code for criterion in load_criteria(str(tmp_path / "c.json"))] == ["B", "A", "C"]


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("c.json", "", ["empty"]),
        ("c.json", "{", ["line 1", "not valid JSON"]),
        ("c.json", "[" * 100_000, ["not valid JSON"]),
        ("c.json", "3", ["a list of {code, title, text}"]),
        ("c.json", "[]", ["no criteria"]),
        ("c.json", "{}", ["no criteria"]),
        ("c.json", '["A"]', ["neither a text nor a map"]),
        ("c.json", '{"A": 3}', ["A", "neither a text nor a map"]),
        ("c.json", '{"A": ""}', ["A needs a text"]),
        ("c.json", '{"A": "x", "A": "y"}', ["A", "twice"]),
        ("c.json", '[{"text": "x"}]', ["code None"]),
        ("c.json", '[{"code": "A B", "text": "x"}]', ["'A B'", "letters, digits"]),
        ("c.json", '[{"code": "A", "text": "x", "name": "y"}]', ["'name'", "code, text, title"]),
        ("c.json", '[{"code": "A", "text": "x", "title": ""}]', ["title of A"]),
        ("c.json", '{"SPECIAL_CASE": "x"}', ["SPECIAL_CASE", "no criterion"]),
        ("c.yaml", "A: [", ["line", "not valid YAML"]),
        ("c.yaml", "NO: x\n", ["code False", "quote it"]),
        ("c.yaml", "!!python/object:os.system {}\n", ["not valid YAML"]),
        ("c.txt", "A: x", [".json, .yaml, .yml"]),
    ],
)
def test_load_criteria_refuses_with_one_sentence(tmp_path, name, content, parts):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError) as caught:
        load_criteria(str(tmp_path / name))
    assert [part for part in [name, *parts] if part not in str(caught.value)] == [], str(caught.value)
    assert "\n" not in str(caught.value)


def test_load_criteria_refuses_a_folder_and_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="is a directory"):
        load_criteria(str(tmp_path))
    with pytest.raises(UserError, match="no such file"):
        load_criteria(str(tmp_path / "c.json"))
