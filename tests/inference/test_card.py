"""The model card, of reports on corpora from different places."""

import pytest
from report_samples import CODES, TITLES, small_report

from redsm5.checkpoints.manifest import Base
from redsm5.cli import main
from redsm5.datamodules.corpus import Criterion
from redsm5.datamodules.criteria import load_criteria
from redsm5.datamodules.reading import read_corpus
from redsm5.datamodules.synth import generate, write
from redsm5.inference.card import model_card
from redsm5.inference.export import export

COMMIT = "0123456789" * 4
OWN = tuple(Criterion(code, TITLES[code], "A text.") for code in CODES)
NINE = load_criteria(None)


def card(source, criteria, *, synthetic=False):
    report = small_report()
    corpus = report.corpus.model_copy(update={"source": source, "synthetic": synthetic})
    base = Base(id="/home/ada/encoder", revision=None, sha256=None)
    return model_card(report.model_copy(update={"corpus": corpus}), criteria, base, "whole", "model")


@pytest.mark.parametrize(
    ("source", "criteria", "named", "reddit"),
    [
        (
            f"irlab-udc/redsm5@{COMMIT}",
            NINE,
            f"corpus: `irlab-udc/redsm5@{COMMIT}`, content hash",
            "These are users of",
        ),
        (f"some/corpus@{COMMIT}", OWN, f"corpus: `some/corpus@{COMMIT}`, content hash", None),
        ("/home/ada/hoc", OWN, "corpus: local, `hoc`, content hash", None),
        (
            "/home/ada/a.csv, /home/ada/b.csv",
            NINE,
            "corpus: local, `a.csv`, `b.csv`, content",
            "If they are those of ReDSM5",
        ),
    ],
)
def test_card_names_the_corpus_and_speaks_of_reddit_where_it_applies(source, criteria, named, reddit):
    text = card(source, criteria)
    assert named in text
    assert "/home/ada" not in text
    assert "encoder" in text
    assert "synthetic" not in text
    assert ("Reddit" in text) == (reddit is not None)
    assert reddit is None or reddit in text
    assert "judgements of single sentences" in text


def test_card_says_that_a_corpus_is_synthetic():
    text = card("runs/demo/corpus", NINE, synthetic=True)
    assert text.count("The corpus is synthetic: no figure says anything about people.") == 3
    assert "corpus: synthetic, local, `corpus`, content hash" in text
    assert "Reddit" not in text
    assert "experts" not in text


def test_corpus_is_synthetic_until_its_posts_are_replaced(tmp_path):
    posts, _ = write(generate(posts=60, seed=0, profile="demo"), tmp_path / "corpus")
    assert read_corpus(path=str(tmp_path / "corpus"))[0].synthetic
    write(generate(posts=60, seed=1, profile="demo"), tmp_path / "corpus")
    assert read_corpus(path=str(tmp_path / "corpus"))[0].synthetic
    posts.write_text(posts.read_text() + "s_9999_1,Somebody wrote this.\n")
    assert not read_corpus(path=str(tmp_path / "corpus"))[0].synthetic
    (tmp_path / "corpus" / "synthetic.json").write_text("[]")
    assert not read_corpus(path=str(tmp_path / "corpus"))[0].synthetic


def test_export_of_a_run_on_data_synth_says_so(tmp_path, tiny_encoder, trained_run):
    from tiny_runs import fit_options

    corpus = tmp_path / "corpus"
    assert main(["data", "synth", "--posts", "60", "--profile", "demo", "--out", str(corpus)]) == 0
    more = ("--trainer.max_epochs=1", f"--data.cache_dir={tmp_path / 'cache'}")
    assert main(fit_options(corpus, tiny_encoder, tmp_path / "run", *more)) == 0
    export(tmp_path / "run", tmp_path / "model")
    assert "The corpus is synthetic" in (tmp_path / "model" / "README.md").read_text()
    export(trained_run, tmp_path / "other")
    assert "synthetic" not in (tmp_path / "other" / "README.md").read_text()
