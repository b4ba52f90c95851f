import pytest

from redsm5.optim.steps import epoch_steps, training_steps


@pytest.mark.parametrize(
    ("batches", "accumulate", "limit", "expected"),
    [
        (10, 1, 1.0, 10),
        (10, 2, 1.0, 5),
        (10, 3, 1.0, 4),  # the last one has a single batch
        (10, 16, 1.0, 1),
        (10, 1, 4, 4),
        (10, 3, 4, 2),
        (10, 1, 40, 10),
        (10, 1, 0.55, 5),
        (10, 2, 0.55, 3),
        (10, 1, 1, 1),  # one batch, not all of them
    ],
)
def test_epoch_steps_table(batches, accumulate, limit, expected):
    assert epoch_steps(batches, accumulate=accumulate, limit=limit) == expected


@pytest.mark.parametrize(
    ("per_epoch", "max_epochs", "max_steps", "expected"),
    [(7, 3, -1, 21), (7, 3, 10, 10), (7, 3, 100, 21), (7, -1, 50, 7), (7, None, -1, 7)],
)
def test_training_steps_table(per_epoch, max_epochs, max_steps, expected):
    assert training_steps(per_epoch, max_epochs=max_epochs, max_steps=max_steps) == expected
