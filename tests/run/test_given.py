"""What the user set, from config files and options."""

import pytest

from redsm5.errors import UserError
from redsm5.run.given import given_configs, given_sources, merged


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fit.yaml").write_text("optimizer: {lr: 0.1}\ndata: {path: a}\n", encoding="utf-8")
    (tmp_path / "data.yaml").write_text("path: b\nsplit: {seed: 3}\n", encoding="utf-8")
    (tmp_path / "criteria.yaml").write_text("A: what it is\n", encoding="utf-8")
    (tmp_path / "list.yaml").write_text("[1, 2]\n", encoding="utf-8")
    (tmp_path / "torn.yaml").write_text("a: [1\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("args", "keys"),
    [
        ([], {}),
        (["--a.b", "1"], {"a.b": "1"}),
        (["--a.b=1=2"], {"a.b": "1=2"}),
        (["--config", "fit.yaml"], {"optimizer.lr": 0.1, "data.path": "a"}),
        (["--config", "fit.yaml", "--optimizer.lr", "1"], {"optimizer.lr": "1", "data.path": "a"}),
        (["--optimizer.lr", "1", "--config", "fit.yaml"], {"optimizer.lr": 0.1, "data.path": "a"}),
        (["--data", "data.yaml"], {"data.path": "b", "data.split.seed": 3}),
        (["--data", "{path: c}"], {"data.path": "c"}),
        (["--data.criteria", "criteria.yaml"], {"data.criteria": "criteria.yaml"}),
        (["--some", "list.yaml"], {"some": "list.yaml"}),
        (["--data", "missing.yaml"], {"data": "missing.yaml"}),
    ],
)
def test_merged_has_what_was_set_last(args, keys):
    assert merged(given_sources(args)) == keys


def test_given_configs_are_in_their_order():
    assert given_configs(["--config", "fit.yaml", "--x", "1", "--config=data.yaml"]) == ["fit.yaml", "data.yaml"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--config", "missing.yaml"], "there is no config file missing.yaml"),
        (["--config", "list.yaml"], "the config file list.yaml holds no keys"),
        (["--config", "torn.yaml"], "the config file torn.yaml is not YAML at line 2, column 1"),
        (["--data", "torn.yaml"], "the config file torn.yaml is not YAML at line 2, column 1"),
    ],
)
def test_config_that_is_none_is_refused_in_a_sentence(args, said):
    with pytest.raises(UserError, match=said):
        given_sources(args)
