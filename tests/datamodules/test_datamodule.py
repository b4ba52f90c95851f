from __future__ import annotations

import json

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from jsonargparse import ArgumentError, ArgumentParser

from redsm5.datamodules.batch import Batch
from redsm5.datamodules.batching import BatchSize, TokenBudget
from redsm5.datamodules.datamodule import ReDSM5DataModule
from redsm5.datamodules.formats import BinaryPairs, MultiLabel
from redsm5.errors import UserError


@pytest.fixture
def make(tiny_encoder, tiny_corpus_dir):
    def made(**settings):
        settings = {"path": str(tiny_corpus_dir), "max_length": 64, "stride": 8, "workers": 0, **settings}
        if settings.get("format") == BinaryPairs():
            settings["max_length"] = 128
        return ReDSM5DataModule(str(tiny_encoder), **settings)

    return made


def equal(a: Batch, b: Batch) -> bool:
    pairs = [(getattr(a, name), getattr(b, name)) for name in vars(a)]
    return all((x is None and y is None) or torch.equal(x, y) for x, y in pairs)


def epoch_of(loader, epoch):
    loader.sampler.set_epoch(epoch)
    return list(loader)


@pytest.mark.parametrize("format", [MultiLabel(), MultiLabel(titles=True), BinaryPairs()])
@pytest.mark.parametrize("batching", [BatchSize(train=4), TokenBudget(train_tokens=512, eval_tokens=1024)])
def test_every_training_post_is_in_every_epoch_and_the_steps_are_exact(make, format, batching):
    data = make(format=format, batching=batching, max_length=256)
    data.setup()
    loader = data.train_dataloader()
    index = {post.id: i for i, post in enumerate(data.corpus.posts)}
    for epoch in range(3):
        batches = epoch_of(loader, epoch)
        assert len(batches) == len(loader) == data.steps_per_epoch()
        posts = {int(i) for batch in batches for i in batch.post_index}
        assert posts == {index[post] for post in data.post_ids("train")}


@pytest.mark.parametrize("format", [MultiLabel(), BinaryPairs()])
def test_evaluation_has_every_post_and_criterion_once(make, format):
    data = make(format=format, max_windows=1, max_length=40)
    data.setup()
    windows = []
    for part, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
        seen = [
            (data.all_post_ids()[int(post)], int(criterion))
            for batch in loader
            for post, criterion in zip(batch.post_index, batch.criterion, strict=True)
        ]
        criteria = range(9) if isinstance(format, BinaryPairs) else [-1]
        assert sorted(seen) == sorted((post, k) for post in data.post_ids(part) for k in criteria)
        windows += [int(batch.window_example.bincount().max()) for batch in loader]
    assert max(windows) > 1


def test_attributes_and_figures(make):
    data = make()
    data.setup()
    labels = np.array([data.corpus.labels(post) for post in data.split.train])
    np.testing.assert_allclose(data.positive_rates(), labels.mean(axis=0))
    assert (data.n_criteria, data.n_outputs, len(data.codes)) == (9, 9, 9)
    assert [g.post_id for g in data.gold("val")] == list(data.post_ids("val"))
    assert data.gold("val")[0].labels == data.corpus.labels(data.post_ids("val")[0])
    assert data.audit.posts == 60
    pairs = make(format=BinaryPairs())
    pairs.setup()
    assert pairs.n_outputs == 1


@pytest.mark.parametrize("ratio", [1.0, None])
def test_positive_rates_of_pairs_are_those_of_the_pairs_that_are_drawn(make, ratio):
    data = make(format=BinaryPairs(negatives_per_positive=ratio), max_length=160)
    data.setup()
    seen, positive = np.zeros(9), np.zeros(9)
    for epoch in range(10):
        for batch in epoch_of(data.train_dataloader(), epoch):
            np.add.at(seen, batch.criterion.numpy(), 1)
            np.add.at(positive, batch.criterion.numpy(), batch.labels[:, 0].numpy())
    np.testing.assert_allclose(data.positive_rates(), positive / seen)
    among_posts = np.mean([data.corpus.labels(post) for post in data.split.train], axis=0)
    if ratio is None:
        np.testing.assert_allclose(data.positive_rates(), among_posts)
    else:
        assert (np.array(data.positive_rates()) > among_posts).all()


def test_workers_give_the_same_batches_as_none(make):
    settings = {"format": BinaryPairs(), "max_windows": 1, "batching": BatchSize(train=8)}
    alone, helped = make(**settings), make(**settings, workers=2)
    for data in (alone, helped):
        data.setup()
    first, second = alone.train_dataloader(), helped.train_dataloader()
    for epoch in range(2):
        ours, theirs = epoch_of(first, epoch), epoch_of(second, epoch)
        assert len(ours) == len(theirs)
        assert all(equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_epochs_differ_and_repeat_for_the_same_seed(make):
    data = make(batching=BatchSize(train=4))
    data.setup()
    loader = data.train_dataloader()
    first, second, again = epoch_of(loader, 0), epoch_of(loader, 1), epoch_of(loader, 0)
    assert all(equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a.post_index, b.post_index) for a, b in zip(first, second, strict=True))
    other = make(batching=BatchSize(train=4), seed=1)
    other.setup()
    third = epoch_of(other.train_dataloader(), 0)
    assert not all(torch.equal(a.post_index, b.post_index) for a, b in zip(first, third, strict=True))


def test_loading_leaves_the_random_numbers_of_the_process_alone(make):
    data = make()
    data.setup()
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    list(data.train_dataloader())
    assert torch.equal(torch.rand(3), expected)


def test_an_interrupted_epoch_goes_on_from_what_was_consumed(make):
    data = make(batching=BatchSize(train=4))
    data.setup()
    loader = data.train_dataloader()
    whole, following = epoch_of(loader, 2), epoch_of(loader, 3)
    again = make(batching=BatchSize(train=4))
    with pytest.raises(UserError, match=r"on 2 devices, and now there are 1; go on with --trainer.devices 2"):
        again.load_state_dict({"epoch": 2, "batches": 3, "ranks": 2})
    again.load_state_dict({"epoch": 2, "batches": 3, "ranks": 1})
    again.setup()
    loader = again.train_dataloader()
    # Workers are asked for batches before Lightning tells the epoch.
    assert all(equal(a, b) for a, b in zip(whole[3:], loader, strict=True))
    assert all(equal(a, b) for a, b in zip(whole[3:], epoch_of(loader, 2), strict=True))
    assert all(equal(a, b) for a, b in zip(following, epoch_of(loader, 3), strict=True))


def test_ranks_share_an_epoch(make, monkeypatch):
    data = make(batching=BatchSize(train=4))
    data.setup()
    shown = []
    for rank in range(2):
        monkeypatch.setattr(data, "_rank", lambda rank=rank: (rank, 2))
        shown.append(epoch_of(data.train_dataloader(), 0))
        assert len(shown[-1]) == data.steps_per_epoch()
    assert len(shown[0]) == len(shown[1])
    posts = [{int(i) for batch in batches for i in batch.post_index} for batches in shown]
    assert len(posts[0] | posts[1]) == len(data.split.train)


class Recorder(pl.LightningModule):
    """Keeps what it is shown."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch, index):
        assert isinstance(batch, Batch)
        self.seen.append((self.current_epoch, batch.post_index.tolist()))
        return self.weight * 0

    def validation_step(self, batch, index):
        assert isinstance(batch, Batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def trainer_for(tmp_path, epochs=2):
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_lightning_tells_the_sampler_the_epoch(make, tmp_path):
    data, model = make(batching=BatchSize(train=4)), Recorder()
    trainer_for(tmp_path).fit(model, datamodule=data)
    for epoch in range(2):
        expected = [batch.post_index.tolist() for batch in epoch_of(data.train_dataloader(), epoch)]
        assert [posts for number, posts in model.seen if number == epoch] == expected


def test_setup_runs_once(make):
    data = make()
    data.prepare_data()
    corpus, split = data.corpus, data.split
    data.setup("fit")
    data.setup("test")
    assert data.corpus is corpus
    assert data.split is split


def test_the_manifest_is_written_and_then_ties_the_run_to_its_corpus(make, tmp_path, tiny_corpus_dir):
    manifest = tmp_path / "split.json"
    first = make()
    first.split_manifest = str(manifest)
    first.setup()
    assert json.loads(manifest.read_text())["parts"]["val"] == list(first.split.val)
    again = make()
    again.split_manifest = str(manifest)
    again.setup()
    assert again.split == first.split
    changed = tmp_path / "changed"
    changed.mkdir()
    for file in tiny_corpus_dir.iterdir():
        (changed / file.name).write_text(file.read_text().replace("late again", "early again"))
    other = make(path=str(changed))
    other.split_manifest = str(manifest)
    with pytest.raises(UserError, match="belongs to another corpus"):
        other.setup()


def test_folds_and_split_files(make, tmp_path):
    tested = []
    for fold in range(3):
        data = make(folds=3, fold=fold)
        data.setup()
        tested += data.post_ids("test")
    assert sorted(tested) == sorted(data.all_post_ids())
    file = tmp_path / "split.csv"
    names = ["train", "val", "test"]
    file.write_text("post_id,split\n" + "".join(f"{p},{names[i % 3]}\n" for i, p in enumerate(data.all_post_ids())))
    given = make(split_file=str(file))
    given.setup()
    assert given.post_ids("val") == data.all_post_ids()[1::3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": None}, r"data\.path is missing"),
        ({"path": None, "posts": "p.csv"}, r"data\.annotations is missing"),
        ({"path": None, "annotations": "a.csv"}, r"data\.posts is missing"),
        ({"fold": 1}, r"data\.fold is 1, but data\.folds is not set"),
        ({"folds": 5}, r"data\.folds is 5, but data\.fold is not set"),
        ({"folds": 2, "fold": 0}, r"data\.folds is 2; accepted are 3 or more"),
        ({"folds": 5, "fold": 5}, r"data\.fold is 5; with data\.folds 5, accepted are 0 to 4"),
        ({"folds": 5, "fold": 0, "split_file": "x.csv"}, r"data\.split_file and data\.folds are both set"),
        ({"fractions": (0.7, 0.2, 0.2)}, r"data\.fractions is \[0\.7, 0\.2, 0\.2\]; .* sum to 1"),
        ({"fractions": (1.0, 0.0, 0.0)}, r"data\.fractions is \[1, 0, 0\]"),
        ({"split_seed": -1}, r"data\.split_seed is -1"),
        (
            {"max_length": 64, "stride": 64},
            r"data\.stride is 64; accepted are 0 to below data\.max_length, which is 64",
        ),
        ({"stride": -1}, r"data\.stride is -1"),
        ({"max_length": 0}, r"data\.max_length is 0"),
        ({"max_windows": 0}, r"data\.max_windows is 0"),
        ({"fuzzy_cutoff": 101.0}, r"data\.fuzzy_cutoff is 101"),
        ({"fuzzy_margin": -0.5}, r"data\.fuzzy_margin is -0\.5"),
        ({"workers": -1}, r"data\.workers is -1"),
        ({"seed": -1}, r"data\.seed is -1"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_read(make, settings, message):
    with pytest.raises(ValueError, match=message):
        make(**{"path": "/nowhere", **settings})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": 1024}, r"data\.max_length is 1024; .* reads at most 512 tokens"),
        ({"max_length": 17, "stride": 0}, r"data\.max_length is 17, which leaves 15 tokens .* accepted are 18 or more"),
        ({"max_length": 64, "stride": 62}, r"leaves 62 tokens .* accepted are 65 or more"),
        ({"max_length": 30, "stride": 0, "format": MultiLabel(titles=True)}, r"leaves 0 tokens"),
    ],
)
def test_lengths_that_leave_no_room_are_refused(make, settings, message):
    with pytest.raises(UserError, match=message):
        make(**settings).setup()


def test_no_message_of_the_data_module_holds_a_text(make, capsys, caplog):
    data = make()
    data.setup()
    list(data.train_dataloader())
    shown = capsys.readouterr()
    assert "gloomy" not in shown.out + shown.err + caplog.text


def test_options_are_chosen_by_name_and_keep_defaults_of_their_own():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(ReDSM5DataModule, "data")

    def chosen(*args):
        return parser.instantiate(parser.parse_args(["--data.encoder_id=x", "--data.path=y", *args])).data

    assert chosen().batching == BatchSize()
    assert chosen("--data.batching", "TokenBudget").batching == TokenBudget()
    assert chosen("--data.format", "BinaryPairs").format == BinaryPairs()
    assert chosen("--data.format.titles", "true").format == MultiLabel(titles=True)
    with pytest.raises(ArgumentError, match="titles"):
        chosen("--data.format", "BinaryPairs", "--data.format.titles", "true")


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_workers_by_default_depend_on_the_machine(make, monkeypatch):
    data = make(workers=None)
    data.setup()
    loader = data.train_dataloader()
    assert (loader.num_workers, loader.pin_memory, loader.persistent_workers) == (0, False, False)
    # A machine with a GPU may train on its CPU all the same.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert data.train_dataloader().num_workers == 0
    data._on_gpu = lambda: True
    for cores, workers in ((32, 12), (4, 4)):
        monkeypatch.setattr("redsm5.datamodules.loading.usable_cores", lambda cores=cores: cores)
        loader = data.train_dataloader()
        assert (loader.num_workers, loader.pin_memory, loader.persistent_workers) == (workers, True, True)
