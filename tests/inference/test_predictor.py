import json
import socket

import pytest
import torch

import redsm5
from redsm5.datamodules.corpus import Post
from redsm5.datamodules.reading import read_corpus
from redsm5.errors import UserError
from redsm5.inference import predictor as predictor_module
from redsm5.inference.load import load as load_model
from redsm5.inference.predictor import chunks


def recorded(run, part="test"):
    """What ``redsm5 test`` wrote: probability, decision and spans by post and criterion."""
    rows = [json.loads(line) for line in (run / f"predictions-{part}.jsonl").read_text().splitlines()]
    return {(row["post_id"], row["criterion"]): row for row in rows}


@pytest.mark.parametrize("fixture", ["trained_run", "pairs_run"])
def test_predictor_predicts_what_the_run_predicted_of_its_test_part(fixture, request, tiny_corpus_dir):
    run = request.getfixturevalue(fixture)
    corpus, _ = read_corpus(path=str(tiny_corpus_dir))
    expected = recorded(run)
    posts = [post for post in corpus.posts if (post.id, corpus.codes[0]) in expected]
    predictions = redsm5.load(run, device="cpu").predict([post.text for post in posts])
    assert len(expected) == len(posts) * len(corpus.codes)
    for post, prediction in zip(posts, predictions, strict=True):
        for code in corpus.codes:
            row = expected[post.id, code]
            assert prediction.probabilities[code] == pytest.approx(row["probability"], abs=2e-6)
            assert prediction.decisions[code] == row["decision"]
            found = [(span.start, span.end) for span in prediction.spans[code]]
            assert found == [(span["start"], span["end"]) for span in row["spans"]]
    if fixture == "trained_run":
        assert any(row["spans"] for row in expected.values())


def test_predictor_needs_neither_the_corpus_nor_the_network(trained_run, monkeypatch):
    def refuse(*_):
        raise AssertionError("no connection is made")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("redsm5.datamodules.reading.read_corpus", refuse)
    (prediction,) = redsm5.load(trained_run).predict("I feel gloomy all the time.")
    assert len(prediction.probabilities) == 9


def test_predict_decides_at_the_thresholds_and_names_the_criteria(trained_run):
    predictor = redsm5.load(trained_run)
    thresholds = json.loads((trained_run / "thresholds.json").read_text())
    for prediction in predictor.predict(["I feel gloomy all the time.", "The bus was late again today."]):
        for code, probability in prediction.probabilities.items():
            assert prediction.decisions[code] == (probability >= thresholds[code])
        assert prediction.criteria == tuple(code for code, decided in prediction.decisions.items() if decided)


def test_predict_does_not_depend_on_company_order_or_batches(trained_run):
    predictor = redsm5.load(trained_run)
    narrow = load_model(trained_run, batch_tokens=1)
    texts = ["I feel gloomy all the time.", "It rained. " * 60, "Honestly I feel sleepless all the time. It rained."]
    together = predictor.predict(texts)
    for alone in (
        [predictor.predict(text)[0] for text in texts],
        predictor.predict(texts[::-1])[::-1],
        narrow.predict(texts),
    ):
        for one, other in zip(together, alone, strict=True):
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
            assert one.decisions == other.decisions


def test_predict_leaves_the_random_state_alone(trained_run):
    before = torch.random.get_rng_state()
    redsm5.load(trained_run).predict("I feel gloomy.")
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("texts", [[""], ["fine", " \n"]])
def test_predict_refuses_an_empty_text(trained_run, texts):
    with pytest.raises(UserError, match=f"text {len(texts) - 1} is empty"):
        redsm5.load(trained_run).predict(texts)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([None], "text 0 is a NoneType; give a list of strings"),
        (["fine", 5], "text 1 is a int; give a list of strings"),
        (5, "texts is a int; give a string or a list of strings"),
    ],
)
def test_predict_refuses_what_is_no_text(trained_run, texts, said):
    with pytest.raises(UserError, match=said):
        redsm5.load(trained_run).predict(texts)


def test_load_refuses_a_device_that_is_not_there(trained_run):
    with pytest.raises(UserError, match="there is no device 'cuda:77' here; give auto"):
        redsm5.load(trained_run, device="cuda:77")


def test_chunks_are_bounded_in_posts_and_characters_and_keep_the_order(monkeypatch):
    monkeypatch.setattr(predictor_module, "CHUNK_POSTS", 3)
    monkeypatch.setattr(predictor_module, "CHUNK_CHARACTERS", 10)
    sizes = [4, 4, 4, 1, 1, 1, 1, 50, 1]
    posts = [Post(str(i), "x" * size, str(i)) for i, size in enumerate(sizes)]
    found = list(chunks(posts))
    assert [post for chunk in found for post in chunk] == posts
    assert [[len(post.text) for post in chunk] for chunk in found] == [[4, 4], [4, 1, 1], [1, 1], [50], [1]]
