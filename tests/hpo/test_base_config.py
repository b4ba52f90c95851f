import json

import pytest
import yaml
from searches import search_options

from redsm5.cli import build_cli, main
from redsm5.errors import UserError
from redsm5.hpo.base_config import base_config, base_file, on_cpu, with_places
from redsm5.hpo.settings import HpoSettings
from redsm5.hpo.space.read import read_space
from redsm5.run.given import flat


@pytest.fixture
def made(tmp_path, tiny_corpus_dir, tiny_encoder):
    """A function that resolves the base config of a search with more options."""
    options = search_options(tiny_corpus_dir, tiny_encoder, tmp_path)()
    space = tmp_path / "space.yaml"

    def make(*more):
        args = [*options[options.index(str(tmp_path / "study")) + 1 :], *more]
        return base_config(HpoSettings(space=str(space)), args, read_space(space))

    return make


def test_trial_runs_on_one_device_whatever_there_are(made):
    trainer = made()["trainer"]
    assert (trainer["devices"], trainer["num_nodes"]) == (1, 1)
    assert made("--trainer.devices=auto")["trainer"]["devices"] == 1  # as a resolved config of a fit has it
    for option in ("--trainer.devices=2", "--trainer.num_nodes=2"):
        with pytest.raises(UserError, match=r"^trainer\.(devices|num_nodes) is 2, and a trial of a search runs on one"):
            made(option)


@pytest.mark.parametrize(
    "option",
    ["--early_stopping.monitor=val_mrr", "--checkpoint.keep_last=2", '--checkpoint={"keep_best": 2}', "--run_dir=x",
     "--tune_batch", "--fresh"],
)  # fmt: skip
def test_option_that_would_do_nothing_is_refused(made, option):
    with pytest.raises(UserError, match=r"^--[a-z_.]+ means nothing to a search, and .+") as refused:
        made(option)
    assert "\n" not in str(refused.value)


def test_config_of_a_fit_and_options_that_say_what_a_search_does_anyway_are_taken(made, tmp_path):
    overlay = tmp_path / "fit.yaml"
    overlay.write_text("run_dir: runs/fit\nearly_stopping: {monitor: val_hit_at_1}\ncheckpoint: {keep_best: 2}\n")
    config = made("--config", str(overlay), "--early_stopping.monitor=val_f1_macro", "--no_fresh")
    assert config["early_stopping"]["monitor"] == "val_f1_macro"
    assert config["checkpoint"]["keep_best"] == 1


CONFIG = {
    "data": {"path": "/a", "posts": None, "split_seed": 0, "cache_dir": "/cache"},
    "trainer": {"devices": 1, "num_nodes": 1, "max_epochs": 3},
}


def elsewhere(path):
    return with_places(CONFIG, {"data": {**CONFIG["data"], "path": path, "split_seed": 5}, "trainer": {}})


def test_machine_with_other_paths_has_a_file_of_its_own_and_leaves_the_others_be(tmp_path):
    first = base_file(tmp_path, CONFIG, elsewhere("/a"))
    second = base_file(tmp_path, CONFIG, elsewhere("/b"))
    assert first == tmp_path / "base.yaml"
    assert base_file(tmp_path, CONFIG, elsewhere("/b")) == second != first
    assert len(list(tmp_path.iterdir())) == 2
    paths = [yaml.safe_load(path.read_text(encoding="utf-8"))["data"]["path"] for path in (first, second)]
    assert paths == ["/a", "/b"]
    assert elsewhere("/b")["data"]["split_seed"] == 0  # no place


def test_study_of_an_earlier_version_gets_one_device_too(tmp_path):
    old = {**CONFIG, "trainer": {**CONFIG["trainer"], "devices": "auto"}}
    assert base_file(tmp_path, old, with_places(old, CONFIG)) == tmp_path / "base.yaml"
    assert yaml.safe_load((tmp_path / "base.yaml").read_text(encoding="utf-8"))["trainer"]["devices"] == 1


@pytest.mark.parametrize(
    ("args", "is_cpu"),
    [
        ([], False),
        (["--trainer.accelerator=cpu"], True),
        (["--trainer.accelerator", "cpu"], True),
        (["--trainer", json.dumps({"accelerator": "cpu"})], True),
        (["--trainer.accelerator=cpu", "--trainer.accelerator=auto"], False),
        (["--config", "{file}"], True),
        (["--config", "{file}", "--trainer.accelerator=gpu"], False),
    ],
)
def test_accelerator_is_known_before_anything_is_parsed(args, is_cpu, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("trainer: {accelerator: cpu}\n", encoding="utf-8")
    assert on_cpu([str(file) if arg == "{file}" else arg for arg in args]) is is_cpu


def test_two_workers_on_the_cpu_start_on_a_machine_with_one_gpu(
    tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch, capfd
):
    def launch(settings, args, gpus, on_cpu):
        raise UserError(f"launched: {gpus} {on_cpu}")

    monkeypatch.setattr("redsm5.hpo.base_config.gpus", lambda: 1)
    monkeypatch.setattr("redsm5.hpo.launchers.launch", launch)
    assert main(search_options(tiny_corpus_dir, tiny_encoder, tmp_path)("--workers", "2")) == 2
    assert capfd.readouterr().err.endswith("launched: 1 True\n")


def test_base_file_reads_as_the_config_that_it_was_made_of(made, tmp_path):
    config = made()
    path = base_file(tmp_path, config, with_places(config, {**config, "data": {**config["data"], "path": "/b"}}))
    again = flat(build_cli(["--config", str(path)], parse_only=True).config.as_dict())
    assert (again["data.path"], again["trainer.devices"]) == ("/b", 1)
