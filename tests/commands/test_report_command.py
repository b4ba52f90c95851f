import json
import shutil

import jsonschema
import pytest
from confirmation_sample import confirmation
from searches import reports, search_options

from redsm5.cli import main
from redsm5.confirm.sameness import config_sha256
from redsm5.datamodules.manifest import manifest_sha256
from redsm5.report.schema import report_schema
from redsm5.run.folder import RunFolder


def confirmation_of(study):
    """A confirmation of the two trials of a study."""
    corpus, split = manifest_sha256(RunFolder(study / "trials/00000/attempt-1").split)
    found = confirmation()
    hashes = [config_sha256(study / f"trials/{trial:05d}/config.yaml") for trial in range(2)]
    candidates = [
        one.model_copy(update={"trial": trial, "config_sha256": hashes[trial]})
        for trial, one in enumerate(found.candidates[:2])
    ]
    of = {"corpus_sha256": corpus, "split_sha256": split}
    return found.model_copy(update={"candidates": candidates, "differences": [], "best": 0, **of})


@pytest.fixture(scope="module")
def study(tiny_corpus_dir, tiny_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    options = search_options(tiny_corpus_dir, tiny_encoder, folder)
    assert main(options("--n-trials", "2", "--trainer.max_epochs=1")) == 0
    return folder / "study"


def test_report_of_a_study_is_its_numbers(study, capfd):
    assert main(["report", str(study), "--format", "json"]) == 0
    found = json.loads(capfd.readouterr().out)
    jsonschema.validate(found, report_schema("search"))
    whole = json.loads((study / "study.json").read_text(encoding="utf-8"))
    differing = {key for key in whole if found["study"][key] != whole[key]}
    assert differing <= {"created", "peak_disk_bytes"}
    made = reports(study)
    assert [(row["trial"], row["state"], row["value"]) for row in found["trials"]] == [
        (one["trial"], one["state"], one["value"]) for one in made
    ]
    assert [row["params"] for row in found["trials"]] == [one["params"] for one in made]
    assert "The test part has been looked at once, with trial " in " ".join(found["summary"])


def test_report_writes_a_page_beside_the_study(study, capfd):
    assert main(["report", str(study)]) == 0
    out = capfd.readouterr().out.splitlines()
    assert out[0].startswith("2 of 2 trials have ended")
    assert out[-1] == str(study / "report.html")
    assert (study / "report.html").stat().st_size < 10_000_000
    numbers = json.loads((study / "search.json").read_text(encoding="utf-8"))
    jsonschema.validate(numbers, report_schema("search"))
    assert numbers["summary"] == out[:-1]


@pytest.mark.parametrize("name", ["--format=md", "--format=json", "--out={tmp}/r.html"])
def test_report_leaves_its_numbers_in_the_study_whatever_its_form(study, tmp_path, capfd, name):
    (study / "search.json").unlink(missing_ok=True)
    assert main(["report", str(study), name.format(tmp=tmp_path)]) == 0
    assert (study / "search.json").exists()


def test_report_into_a_folder_that_is_no_studys_leaves_what_is_there(study, tmp_path, capfd):
    (tmp_path / "report.json").write_text("that of a run")
    storage = ("--storage", f"sqlite:///{study / 'study.db'}", "--study", "study")
    assert main(["report", str(tmp_path), *storage]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]
    assert (tmp_path / "report.json").read_text() == "that of a run"
    (tmp_path / ".study").write_text("another\n")
    assert main(["report", str(tmp_path), *storage]) == 2
    assert "belongs to another study than the database names" in capfd.readouterr().err


def test_report_of_a_study_whose_folder_is_elsewhere_says_what_it_cannot_show(study, tmp_path, capfd):
    here = tmp_path / "study"
    here.mkdir()
    storage = f"sqlite:///{study / 'study.db'}"
    assert main(["report", str(here), "--storage", storage, "--study", "study", "--format", "json"]) == 0
    found = json.loads(capfd.readouterr().out)
    best = found["study"]["best"][0]["trial"]
    assert found["study"]["test"] is None
    assert found["study"]["tested"] == [best]
    assert (
        f"The test part has been looked at once, with trial {best}; the figures of trial {best}, the best one, "
        "are not in the folder of this study here."
    ) in found["summary"]
    assert found["storage"]["now"] == 0
    assert len(found["trials"]) == 2


def test_report_shows_what_confirm_found_and_leaves_it_out_of_the_peak(study, tmp_path, capfd):
    copy = tmp_path / "study"
    shutil.copytree(study, copy)
    (copy / "confirm.json").write_text(confirmation_of(copy).model_dump_json(), encoding="utf-8")
    (copy / "confirm").mkdir()
    (copy / "confirm" / "weights").write_bytes(b"x" * 30_000_000)
    assert main(["report", str(copy), "--format", "json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["confirmed"]["best"] == 0
    assert found["study"]["peak_disk_bytes"] < 30_000_000 < found["storage"]["kinds"]["confirm"]


def test_report_leaves_out_what_is_of_other_trials_and_says_so(study, tmp_path, capfd):
    copy = tmp_path / "study"
    shutil.copytree(study, copy)
    of_others = confirmation_of(copy).model_copy(update={"corpus_sha256": "0" * 64})
    (copy / "confirm.json").write_text(of_others.model_dump_json(), encoding="utf-8")
    (copy / "ensemble").mkdir()
    (copy / "ensemble" / "ensemble.json").write_text("{}", encoding="utf-8")
    assert main(["report", str(copy), "--format", "json"]) == 0
    out, err = capfd.readouterr()
    assert (json.loads(out)["confirmed"], json.loads(out)["combined"]) == (None, None)
    assert "confirm.json is of another corpus or split than trial 0, and left out" in err
    assert "ensemble.json is of another version of redsm5, and left out" in err


def test_report_as_markdown_goes_where_it_is_told(study, tmp_path, capfd):
    assert main(["report", str(study), "--format", "md", "--out", str(tmp_path / "r.md")]) == 0
    assert (tmp_path / "r.md").read_text(encoding="utf-8").startswith("# Search study\n")
    assert main(["report", str(study), "--format", "md"]) == 0
    printed = capfd.readouterr().out
    assert "## Test\n" in printed
    assert "| metric | trial " in printed


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["none"], "there is no study in"),
        (["{study}", "--out", "{study}/no/where.html"], "no/where.html: No such file or directory"),
        (["{study}", "--study", "other"], "the database has no study of the name other"),
        (["{study}", "--storage", "mongodb://x/y"], "--storage"),
        (
            ["{study}", "--storage", "sqlite:///{study}/none.db"],
            "none.db; name that of the study, as it was begun, with",
        ),
    ],
)
def test_report_that_cannot_be_made_is_a_sentence(study, capfd, monkeypatch, args, says):
    monkeypatch.setattr("redsm5.hpo_report.gather.search_report", None)  # it is said before the work
    assert main(["report", *(arg.format(study=study) for arg in args)]) == 2
    assert not (study / "none.db").exists()
    err = capfd.readouterr().err
    assert says in err
    assert "Traceback" not in err
