"""Which run holds the weights of a trial."""

from pathlib import Path

import pytest
import yaml
from confirmed_samples import trial

from redsm5.confirm.trained import is_trained_again, train_again

TRIAL = {
    "run_dir": "refits/00003",
    "seed_everything": 1,
    "data": {"path": "here"},
    "model": {"encoder": {"id": "some/encoder"}},
    "pretraining": {"use_tapt": True},
}


def written(path, **changes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({**TRIAL, **changes}), encoding="utf-8")


def pretrained(cache, epoch=1):
    """What the config of a run says once its section ``pretraining`` was followed."""
    encoder = {"encoder": {"id": f"{cache}/pretraining/tapt-1/epoch-{epoch}"}}
    return {"run_dir": cache, "model": encoder, "pretraining": {"use_tapt": False}}


@pytest.mark.parametrize(
    ("again", "same"),
    [
        ({}, True),
        ({"run_dir": "elsewhere", "data": {"path": "there"}}, True),
        ({"seed_everything": 2}, False),
        (pretrained("/other/cache"), True),
        (pretrained("/other/cache", epoch=2), False),
        (None, False),
    ],
)
def test_run_is_of_a_trial_where_it_has_its_config_or_that_of_its_run(tmp_path, again, same):
    written(tmp_path / "trials/00003/config.yaml")
    written(tmp_path / "trials/00003/attempt-1/config.yaml", **pretrained("/cache"))
    if again is not None:
        written(tmp_path / "refits/00003/config.yaml", **again)
    assert is_trained_again(tmp_path, trial()) is same


def test_command_names_config_and_folder():
    command = train_again(Path("study"), 3)
    assert command == "redsm5 fit --config study/trials/00003/config.yaml --run_dir study/refits/00003"
