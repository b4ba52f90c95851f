import pytest
import yaml
from run_configs import config_of

from redsm5.hpo.batches import half_batches, half_pretraining, smaller_after


@pytest.mark.parametrize(
    ("batching", "accumulate", "expected"),
    [
        ({"train": 8, "eval": 16}, 1, ({"train": 4, "eval": 8}, 2)),
        ({"train": 3, "eval": 1}, 2, ({"train": 1, "eval": 1}, 6)),
        ({"train": 5, "eval": 2}, 1, ({"train": 1, "eval": 1}, 5)),
        ({"train": 7, "eval": 2}, 2, ({"train": 2, "eval": 1}, 7)),
        ({"train_tokens": 256, "eval_tokens": 100}, 1, ({"train_tokens": 128, "eval_tokens": 64}, 2)),
        ({"train": 1, "eval": 16}, 4, ({"train": 1, "eval": 8}, 4)),  # the evaluation may be what does not fit
        ({"train_tokens": 127, "eval_tokens": 512}, 1, ({"train_tokens": 127, "eval_tokens": 256}, 1)),
        ({"train": 1, "eval": 1}, 4, None),
        ({"train_tokens": 127, "eval_tokens": 64}, 1, None),
    ],
)
def test_half_batches_keeps_examples_per_step_and_ends_at_one(tmp_path, batching, accumulate, expected):
    config_of(tmp_path, accumulate=accumulate, **batching)
    halved = half_batches(tmp_path)
    if expected is None:
        assert halved is None
        return
    options = {f"data.batching.{name}": size for name, size in expected[0].items()}
    assert halved.options == {**options, "trainer.accumulate_grad_batches": expected[1]}


@pytest.mark.parametrize(
    ("given", "options", "expected"),
    [
        ({}, [], (2048, 2)),  # the defaults: 4096 tokens, rows of 256
        ({"batch_tokens": 1000, "accumulate": 3, "max_length": 500}, [], (500, 6)),
        ({"batch_tokens": 1000, "max_length": 501}, [], None),
        ({"batch_tokens": 1000}, ["--pretraining.batch_tokens=512", "--pretraining.accumulate=2"], (256, 4)),
        ({"batch_tokens": 1000}, ["--pretraining.batch_tokens=511"], None),
    ],
)
def test_half_pretraining_keeps_tokens_per_step_and_ends_at_one_row(tmp_path, given, options, expected):
    config = tmp_path / "base.yaml"
    config.write_text(yaml.safe_dump({"pretraining": {"use_tapt": True, **given}}), encoding="utf-8")
    halved = half_pretraining(["--config", str(config), *options])
    if expected is None:
        assert halved is None
    else:
        names = ("pretraining.batch_tokens", "pretraining.accumulate")
        assert halved.options == dict(zip(names, expected, strict=True))


@pytest.mark.parametrize(
    ("how", "key"),
    [
        ("out of memory", "data.batching.train"),
        ("out of memory in pretraining", "pretraining.batch_tokens"),
        ("killed", None),
    ],
)
def test_smaller_is_what_did_not_fit(tmp_path, how, key):
    config_of(tmp_path, train=8, eval=4)
    smaller = smaller_after(how, tmp_path, [])
    assert smaller is None if key is None else key in smaller.options
