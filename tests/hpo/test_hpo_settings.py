import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from redsm5.errors import UserError
from redsm5.hpo.settings import HpoSettings, read_settings


def config(tmp_path, text, name="hpo.yaml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_settings_come_from_the_section_and_options_win(tmp_path):
    file = config(tmp_path, "hpo: {n_trials: 7, workers: 3, max_failed: 1}\ntrainer: {max_epochs: 2}\n")
    settings, rest = read_settings(["--config", file, "--data.path=x"], {"workers": 2}, tmp_path)
    assert settings == HpoSettings(n_trials=7, workers=2, max_failed=1.0)
    assert rest[0] == "--config"
    assert rest[2:] == ["--data.path=x"]
    with open(rest[1], encoding="utf-8") as left:
        assert yaml.safe_load(left) == {"trainer": {"max_epochs": 2}}


@pytest.mark.parametrize("form", ["{0}", "--config={0}"])
def test_a_file_without_the_section_stays_where_it_is(tmp_path, form):
    file = config(tmp_path, "trainer: {max_epochs: 2}\n")
    args = ["--config", file] if form == "{0}" else [form.format(file)]
    assert read_settings(args, {}, tmp_path) == (HpoSettings(), args)


def test_a_later_file_wins(tmp_path):
    one = config(tmp_path, "hpo: {n_trials: 7, seed: 1}\n", "one.yaml")
    two = config(tmp_path, "hpo: {n_trials: 8}\n", "two.yaml")
    settings, _ = read_settings(["--config", one, "--config", two], {}, tmp_path)
    assert (settings.n_trials, settings.seed) == (8, 1)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("{n_trials: x}", "hpo.n_trials: x is not accepted"),
        ("{n_trials: 0}", "n_trials is 0; it must be a whole number of at least 1"),
        ("{trials: 5}", "hpo has no trials; it takes space, n_trials"),
        ("5", "hpo must hold keys and values"),
        ("{objective: f1}", "hpo.objective: f1 is not accepted"),
        ("{max_failed: 0}", "max_failed is 0.0; it is a share"),
        ("{lease_seconds: 0}", "lease_seconds is 0.0; it must be at least 1"),
        ("{objectives: {a: 1}}", "hpo.objectives: "),
        ("{objectives: 5}", "hpo.objectives: "),
        ("{objectives: [[1]]}", "hpo.objective"),
        ("{study_dir: null}", "hpo.study_dir is empty; give it a value, or leave it out"),
        ("{max_failed: null}", "hpo.max_failed is empty"),
        ("{slurm: 5}", "hpo.slurm: "),
        ("{1: 2, a: 3}", "hpo has no 1; it takes space"),
    ],
)
def test_a_wrong_section_is_refused_with_its_file_and_key(tmp_path, section, says):
    file = config(tmp_path, f"hpo: {section}\n")
    with pytest.raises(UserError) as refused:
        read_settings(["--config", file], {}, tmp_path)
    assert str(refused.value).startswith(f"{file}: ")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("given", "metric"),
    [
        ({}, "val_auprc_macro"),
        ({"objective": "val_exact_match"}, "val_auprc_macro"),
        ({"objective": "val_loss"}, "val_loss"),
        ({"objective": "val_evidence_iou_f1"}, "val_evidence_iou_f1"),
        ({"prune_by": "val_f1_macro"}, "val_f1_macro"),
        ({"objective": "val_loss", "prune_by": "val_hard_negative_rate"}, "val_hard_negative_rate"),
    ],
)
def test_pruner_compares_what_tells_early(given, metric, tmp_path):
    settings, _ = read_settings([], given, tmp_path)
    assert settings.pruned_by == metric


@pytest.mark.parametrize("given", [{"prune_by": "val_loss"}, {"objective": "val_loss", "prune_by": "val_mrr"}])
def test_pruning_the_other_way_than_the_objective_is_refused(given, tmp_path):
    with pytest.raises(UserError, match=f"prune_by is {given['prune_by']}, whose .* unlike that of val_"):
        read_settings([], given, tmp_path)


def test_page_lists_every_key_of_the_section():
    page = (Path(__file__).parents[2] / "docs" / "hpo.md").read_text(encoding="utf-8")
    table = page.partition("| key, option | what | default |\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == {one.name for one in fields(HpoSettings)}


def test_database_and_name_are_those_of_the_folder(tmp_path):
    settings = HpoSettings(study_dir=str(tmp_path / "mine"))
    assert settings.url == f"sqlite:///{tmp_path}/mine/study.db"
    assert (settings.name, settings.label) == ("study", "mine")
    other = HpoSettings(study_dir=str(tmp_path), storage="postgresql://h/db", study="name")
    assert (other.url, other.name) == ("postgresql://h/db", "name")
