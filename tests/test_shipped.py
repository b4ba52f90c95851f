"""Our config files, from any folder of a checkout, and where there is none."""

import pytest

from redsm5 import shipped as module
from redsm5.cli import main
from redsm5.hpo.settings import HpoSettings
from redsm5.shipped import shipped


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A current folder without configs."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def wheel(elsewhere, monkeypatch, tmp_path):
    """The package as a wheel installs it."""
    monkeypatch.setattr(module, "__file__", str(tmp_path / "site-packages" / "redsm5" / "shipped.py"))


def test_file_of_the_current_folder_wins_over_that_of_the_checkout(elsewhere):
    beside = shipped("configs/hpo.yaml")
    assert beside.is_absolute()
    assert beside.is_file()
    (elsewhere / "configs").mkdir()
    (elsewhere / "configs" / "hpo.yaml").write_text("hpo: {n_trials: 3}\n", encoding="utf-8")
    assert shipped("configs/hpo.yaml").read_text(encoding="utf-8") == "hpo: {n_trials: 3}\n"


def test_only_configs_are_shipped(elsewhere):
    assert not shipped("README.md").is_file()


@pytest.mark.parametrize("space", [HpoSettings.space, "cpu", "configs/hpo/peft.yaml"])
def test_spaces_are_found_from_any_folder(elsewhere, space):
    assert HpoSettings(space=space).space_file.is_file()


def test_search_reads_its_default_config_and_space_from_any_folder(elsewhere, capfd):
    assert main(["hpo", "--show-space"]) == 0
    assert "pretraining" in capfd.readouterr().out


@pytest.mark.parametrize("command", ["hpo", "tune-batch", "demo"])
def test_commands_of_a_wheel_say_what_they_lack(wheel, command, capfd):
    assert main([command]) == 2
    said = capfd.readouterr().err
    assert f"configs/{command}.yaml" in said
    assert "run in a checkout of redsm5, or" in said
