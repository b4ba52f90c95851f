import time

import pytest

from redsm5 import masking
from redsm5.masking import masked, without_known_posts, without_posts


@pytest.fixture
def posts(monkeypatch):
    monkeypatch.setattr(
        masking, "_posts", lambda: ["I have not slept for days. Nothing helps, my friends say!", "It is fine."]
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("token hf_AbCdEfGhIjKlMnOpQr ends", "token hf_*** ends"),
        ("Authorization: Bearer eyJhbGciOi.J9-x_y=", "Authorization: Bearer ***"),
        ("headers {'authorization': 'Bearer abcdef123456'}", "headers {'authorization': 'Bearer ***'}"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic ***"),
        ("https://me:s3cr3t@hub.example/x?y=1", "https://***@hub.example/x?y=1"),
        ("postgresql://u:p@ss:w0rd@db.example:5432/x", "postgresql://***@db.example:5432/x"),
        ("https://tok3n@hub.example", "https://***@hub.example"),
        ("GET /x?api_key=0123456789&y=2", "GET /x?api_key=***&y=2"),
        ("https://h.example/?sig=abcdef&n=1", "https://h.example/?sig=***&n=1"),
        ("WANDB_API_KEY=0123456789abcdef", "WANDB_API_KEY=***"),
        ('{"password": "correct horse"}', '{"password": "*** horse"}'),
        ("write to Jane.Doe+x@mail.example.org.", "write to ***@***."),
        ("müller@uni-köln.de", "***@***"),
        ("AKIAIOSFODNN7EXAMPLE and ghp_0123456789abcdefABCDEF", "*** and ***"),
    ],
)
def test_secrets_are_masked(text, expected):
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "https://huggingface.co/google-bert/bert-base-uncased/resolve/main/config.json",
        "commit 86b5e0934494bd15c9632b12f734a8a67f723594",
        "data.batching.train_tokens=5000, pad_token_id: 12345",
        "hf_hub_download and the token cache in /tmp/token-cache",
        "epoch 3, step 120: val_loss 0.5 @ lr 1e-4",
        "sqlite:////runs/mlflow.db",
        "the bearer of this",
    ],
)
def test_what_is_no_secret_stays(text):
    assert masked(text) == text


def test_secrets_of_the_environment_are_masked_wherever_they_stand(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "86b5e0934494bd15c9632b12f734a8a67f723594")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct horse battery")
    monkeypatch.setenv("SOME_TOKEN", "short")
    assert masked("key 86b5e0934494bd15c9632b12f734a8a67f723594, short") == "key ***, short"
    assert masked("/correct horse battery/") == "/***/"


def test_masking_takes_no_longer_on_hostile_text():
    started = time.monotonic()
    for text in ("a" * 50_000, "a.@" * 20_000, "://" * 20_000, "'" * 50_000, "api_key" * 8_000, "\\'" * 20_000):
        without_posts(masked(text))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("KeyError: 'my whole sad post'", "KeyError: '<17 characters>'"),
        ('cannot parse "I\'m so \\"tired\\" of it"', 'cannot parse "<22 characters>"'),
        ("'val_loss' of 'two words' isn't there, don't ask", "'val_loss' of 'two words' isn't there, don't ask"),
        ("bad post: i have NOT slept, for days. End", "bad post: <words of a post>. End"),
        ("helps my friends say so", "<words of a post> so"),
        ("I have not eaten", "I have not eaten"),
        ("4 and Nothing helps, my friends say or not slept for days", "4 and <words of a post> or <words of a post>"),
        ("near 'a text that was cut", "near '<19 characters>'"),
    ],
)  # fmt: skip
def test_messages_lose_what_may_come_from_a_post(posts, text, expected):
    assert without_posts(text) == expected


def test_known_posts_are_asked_for_only_when_there_is_something_to_check(monkeypatch):
    monkeypatch.setattr(masking, "_posts", lambda: pytest.fail("asked"))
    assert without_known_posts("three words only") == "three words only"
