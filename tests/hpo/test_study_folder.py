"""A folder belongs to one study."""

import errno
import os

import pytest

from redsm5.errors import UserError
from redsm5.hpo import study_folder
from redsm5.hpo.study_folder import KEY, bind, key_of, refuse_another


@pytest.mark.parametrize("links", [True, False])
def test_bind_notes_the_key_and_sees_it_again(tmp_path, monkeypatch, links):
    def none(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", none)
    bind(tmp_path, "one")
    bind(tmp_path, "one")
    assert key_of(tmp_path) == "one"
    assert [path.name for path in tmp_path.iterdir()] == [KEY]
    with pytest.raises(UserError, match="holds the trials of another study"):
        bind(tmp_path, "two")
    assert key_of(tmp_path) == "one"


@pytest.mark.parametrize("key", ["ours", "another"])
def test_folder_that_another_command_takes_meanwhile_is_taken_for_the_same_study_only(tmp_path, monkeypatch, key):
    refuse = study_folder.refuse_trials

    def taken_meanwhile(folder):
        (folder / KEY).write_text(f"{key}\n", encoding="utf-8")
        (folder / "trials" / "00000").mkdir(parents=True, exist_ok=True)
        refuse(folder)

    monkeypatch.setattr(study_folder, "refuse_trials", taken_meanwhile)
    if key == "ours":
        bind(tmp_path, "ours")
        bind(tmp_path, "ours")
    else:
        with pytest.raises(UserError, match="holds the trials of another study"):
            bind(tmp_path, "ours")
    assert (tmp_path / KEY).read_text(encoding="utf-8") == f"{key}\n"


@pytest.mark.parametrize(("other", "refused"), [("one", False), ("two", True)])
def test_of_two_commands_that_bind_a_folder_at_once_the_first_has_it(tmp_path, monkeypatch, other, refused):
    real = study_folder.refuse_trials

    def meanwhile(folder):
        real(folder)
        monkeypatch.setattr(study_folder, "refuse_trials", real)
        bind(folder, other)

    monkeypatch.setattr(study_folder, "refuse_trials", meanwhile)
    if refused:
        with pytest.raises(UserError, match="holds the trials of another study"):
            bind(tmp_path, "one")
    else:
        bind(tmp_path, "one")
    assert key_of(tmp_path) == other


@pytest.mark.parametrize(
    ("noted", "key", "refused"),
    [(None, "one", False), ("one", None, False), ("one", "one", False), ("two", "one", True)],
)
def test_look_at_a_study_refuses_the_folder_of_another(tmp_path, noted, key, refused):
    if noted is not None:
        bind(tmp_path, noted)
    if refused:
        with pytest.raises(UserError, match="belongs to another study than the database names"):
            refuse_another(tmp_path, key)
    else:
        refuse_another(tmp_path, key)
