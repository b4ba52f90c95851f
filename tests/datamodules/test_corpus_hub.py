"""The hub without a hub: what it answers is played by stand-ins."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from redsm5.datamodules import hub_dataset
from redsm5.datamodules.reading import read_corpus
from redsm5.errors import UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
POSTS = [{"post_id": "s_1_1", "text": "I am sad. So it goes."}, {"post_id": "s_2_1", "text": "Fine."}]
NOTE = {"sentence_id": "s_1_1_0", "sentence_text": "I am sad.", "DSM5_symptom": "DEPRESSED_MOOD", "status": 1}
NOTES = [{"post_id": "s_1_1", **NOTE}]
FLAT = [
    {**POSTS[0], **NOTE},
    {**POSTS[0], **NOTE, "sentence_id": "s_1_1_1", "sentence_text": "So it goes.", "status": 0},
    {**POSTS[1], "sentence_id": None, "sentence_text": None, "DSM5_symptom": None, "status": None},
]


@dataclass
class FakeSplit:
    """The part of ``datasets.Dataset`` that is used."""

    records: list[dict[str, Any]]
    names: dict[str, list[str]] = field(default_factory=dict)

    @property
    def column_names(self) -> list[str]:
        return list(self.records[0])

    @property
    def features(self) -> dict[str, Any]:
        return {
            key: SimpleNamespace(names=self.names[key]) if key in self.names else object() for key in self.records[0]
        }

    def select_columns(self, columns: list[str]) -> "FakeSplit":
        return FakeSplit([{key: record[key] for key in columns} for record in self.records])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.records)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub whose repository holds ``parts``: config/split -> split; returns that dict and what was asked."""
    parts: dict[str, FakeSplit] = {}
    asked: list[tuple[str, ...]] = []
    library = ModuleType("datasets")

    def configs(dataset: str, revision: str) -> list[str]:
        asked.append((dataset, revision))
        return list(dict.fromkeys(name.split("/")[0] for name in parts))

    def splits(dataset: str, config: str, revision: str) -> list[str]:
        return [name.split("/")[1] for name in parts if name.split("/")[0] == config]

    def load(dataset: str, config: str, split: str, revision: str) -> FakeSplit:
        asked.append((dataset, revision, config, split))
        return parts[f"{config}/{split}"]

    vars(library).update(get_dataset_config_names=configs, get_dataset_split_names=splits, load_dataset=load)
    monkeypatch.setitem(sys.modules, "datasets", library)
    monkeypatch.setattr(hub_dataset, "resolve_commit", lambda dataset, revision: COMMIT)
    monkeypatch.setattr(hub_dataset, "download_files", lambda dataset, commit: tmp_path / "snapshot")
    monkeypatch.chdir(tmp_path)
    return SimpleNamespace(parts=parts, asked=asked, snapshot=tmp_path / "snapshot")


def corpus_of(**options: Any):
    return read_corpus(path="irlab-udc/redsm5", **options)


def check(corpus) -> None:
    assert [post.id for post in corpus.posts] == ["s_1_1", "s_2_1"]
    assert corpus.annotations[0].criterion == "DEPRESSED_MOOD"
    assert corpus.labels("s_1_1")[0] == 1
    assert corpus.source == f"irlab-udc/redsm5@{COMMIT}"


@pytest.mark.parametrize("names", [("posts/train", "annotations/train"), ("default/posts", "default/annotations")])
def test_read_corpus_finds_configs_and_splits_by_name(hub, names):
    hub.parts.update({names[0]: FakeSplit(POSTS), names[1]: FakeSplit(NOTES)})
    check(corpus_of()[0])
    assert {answer[1] for answer in hub.asked} == {COMMIT}  # Everything at the pinned commit.


def test_read_corpus_joins_the_splits_of_a_config(hub):
    hub.parts.update(
        {"posts/train": FakeSplit(POSTS[:1]), "posts/test": FakeSplit(POSTS[1:]), "annotations/all": FakeSplit(NOTES)}
    )
    check(corpus_of()[0])


def test_read_corpus_takes_one_flat_table_apart(hub):
    hub.parts["default/train"] = FakeSplit(FLAT)
    corpus, audit = corpus_of()
    check(corpus)
    assert [a.status for a in corpus.annotations] == [1, 0]
    assert (audit.posts, audit.duplicate_posts, audit.annotation_rows) == (2, 0, 2)


def test_read_corpus_reads_class_labels_by_name(hub):
    coded = [{**record, "DSM5_symptom": 1} for record in NOTES]
    hub.parts.update(
        {
            "posts/train": FakeSplit(POSTS),
            "annotations/train": FakeSplit(coded, {"DSM5_symptom": ["X", "DEPRESSED_MOOD"]}),
        }
    )
    check(corpus_of()[0])


@pytest.mark.parametrize("mapping", [("a/x", "b/x"), ("a", "b")])
def test_read_corpus_takes_the_mapping_that_is_given(hub, mapping):
    hub.parts.update({"a/x": FakeSplit(POSTS), "b/x": FakeSplit(NOTES)})
    check(corpus_of(posts=mapping[0], annotations=mapping[1])[0])


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({}, ["which configs", "a/x, b/x"]),
        ({"posts": "a/y", "annotations": "b/x"}, ["'a/y' is neither a config nor a split", "a/x, b/x"]),
        ({"posts": "x", "annotations": "b/x"}, ["'x' is in several configs", "a/x, b/x"]),
        ({"posts": "a/x"}, ["both the posts and the annotations", "a/x, b/x"]),
        ({"posts": "b/x", "annotations": "a/x"}, ["irlab-udc/redsm5 (b/x)", "'text' is missing", "'sentence_text'"]),
    ],
)
def test_read_corpus_names_the_configs_and_splits_there(hub, options, parts):
    hub.parts.update({"a/x": FakeSplit(POSTS), "b/x": FakeSplit(NOTES)})
    with pytest.raises(UserError) as caught:
        corpus_of(**options)
    assert [part for part in parts if part not in str(caught.value)] == [], str(caught.value)


def test_read_corpus_names_the_row_of_a_split(hub):
    hub.parts.update(
        {"posts/train": FakeSplit(POSTS), "annotations/train": FakeSplit([*NOTES, {**NOTES[0], "status": 3}])}
    )
    with pytest.raises(
        UserError, match=r"irlab-udc/redsm5 \(annotations/train\), row 2: status must be 0 or 1 and is 3"
    ):
        corpus_of()


def test_read_corpus_reads_two_files_of_a_repository_like_a_folder(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)  # Not even installed.
    folder = hub.snapshot / "data"
    folder.mkdir(parents=True)
    (folder / "redsm5_posts.csv").write_text("post_id,text\ns_1_1,I am sad. So it goes.\ns_2_1,Fine.\n")
    (folder / "redsm5_annotations.csv").write_text(
        "post_id,sentence_id,sentence_text,DSM5_symptom,status\ns_1_1,s_1_1_0,I am sad.,DEPRESSED_MOOD,1\n"
    )
    corpus, audit = corpus_of()
    check(corpus)
    assert Path(audit.files[0].name).name == "redsm5_posts.csv"


def test_read_corpus_says_which_extra_to_install(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install 'redsm5\[hub\]'"):
        corpus_of()


def failure(name: str, message: str = "", *bases: type[Exception]) -> Exception:
    return type(name, bases or (Exception,), {})(message)


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (failure("GatedRepoError"), ["gated", "https://huggingface.co/datasets/irlab-udc/redsm5", "hf auth login"]),
        (failure("DatasetNotFoundError", "is a gated dataset"), ["gated", "hf auth login", "HF_TOKEN"]),
        (
            failure("RepositoryNotFoundError"),
            ["no folder irlab-udc/redsm5", "no dataset of that name", "hf auth login"],
        ),
        (failure("RevisionNotFoundError"), ["no revision 'v9'"]),
        (failure("ConnectionError", "secret url"), ["cannot be fetched", "ConnectionError", "connection"]),
        (
            failure("DatasetGenerationCastError", "", type("DatasetGenerationError", (Exception,), {})),
            ["as a table", "folder"],
        ),
    ],
)
def test_read_corpus_turns_what_the_hub_refuses_into_a_sentence(hub, monkeypatch, error, parts):
    def refuse(dataset: str, revision: str | None) -> str:
        raise error

    monkeypatch.setattr(hub_dataset, "resolve_commit", refuse)
    with pytest.raises(UserError) as caught:
        corpus_of(revision="v9")
    assert [part for part in parts if part not in str(caught.value)] == [], str(caught.value)
    assert "secret" not in str(caught.value)


def test_resolve_commit_leaves_a_commit_alone_and_asks_for_the_rest(monkeypatch):
    asked = []

    class Api:
        def dataset_info(self, dataset: str, revision: str | None) -> SimpleNamespace:
            asked.append((dataset, revision))
            return SimpleNamespace(sha=COMMIT)

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    assert hub_dataset.resolve_commit("a/b", COMMIT[::-1]) == COMMIT[::-1]
    assert asked == []
    assert hub_dataset.resolve_commit("a/b", None) == COMMIT
    assert hub_dataset.resolve_commit("a/b", "v1") == COMMIT
    assert asked == [("a/b", None), ("a/b", "v1")]


def test_download_files_leaves_it_to_datasets_where_the_hub_is_out_of_reach(monkeypatch):
    def offline(*args: Any, **options: Any) -> str:
        raise LocalEntryNotFoundError("offline")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    monkeypatch.setattr(hub_dataset, "find_spec", lambda name: object())
    assert hub_dataset.download_files("a/b", COMMIT) is None
    monkeypatch.setattr(hub_dataset, "find_spec", lambda name: None)
    with pytest.raises(LocalEntryNotFoundError):
        hub_dataset.download_files("a/b", COMMIT)
