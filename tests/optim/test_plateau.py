import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from redsm5.optim.reduce_on_plateau import ReduceOnPlateau

METRICS = [0.1, 0.3, 0.3, 0.25, 0.31, 0.3, 0.3, 0.3, 0.3, 0.2, 0.5, 0.5, 0.5, 0.5, 0.5]


def optimizer_of(*rates):
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr} for lr in rates])


def built(option, optimizer, mode="max", total_steps=60, steps_per_epoch=4):
    return option.build(optimizer, total_steps, steps_per_epoch, mode=mode)


def epochs(optimizer, scheduler, metrics, steps=4):
    """The rates of every step, the metric handed over after each epoch."""
    rates = []
    for metric in metrics:
        for _ in range(steps):
            rates.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            scheduler.step()
        scheduler.observe(metric)
    return rates


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("settings", [{}, {"patience": 2, "factor": 0.9}, {"patience": 0}, {"threshold": 0.5}], ids=str)
def test_plateau_equals_that_of_torch(mode, settings):
    settings = {"factor": 0.5, "patience": 1, "threshold": 1e-4} | settings
    ours, theirs = optimizer_of(1.0, 0.1), optimizer_of(1.0, 0.1)
    scheduler = built(ReduceOnPlateau(warmup_ratio=0.0, **settings), ours, mode)
    reference = ReduceLROnPlateau(theirs, mode=mode, **settings)
    seen = epochs(ours, scheduler, METRICS)[::4]
    expected = []
    for metric in METRICS:
        expected.append([group["lr"] for group in theirs.param_groups])
        reference.step(metric)
    assert seen == [pytest.approx(rates) for rates in expected]
    assert seen[-1] != seen[0]


def test_plateau_warms_up_and_does_not_count_epochs_of_the_warmup():
    optimizer = optimizer_of(1.0)
    scheduler = built(ReduceOnPlateau(warmup_ratio=0.1, patience=0), optimizer)  # six of sixty steps
    # The best value is that of the first epoch, but it ends within the warmup; the second ends after it.
    rates = [r for (r,) in epochs(optimizer, scheduler, [0.9, 0.2, 0.2, 0.3])]
    assert rates[:7] == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert rates[7:12] == [1] * 5
    assert rates[12:] == [0.5] * 4
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_plateau_curve_is_that_of_metrics_that_never_improve():
    for option in (
        ReduceOnPlateau(patience=2),
        ReduceOnPlateau(warmup_ratio=0.3, patience=0),
        ReduceOnPlateau(warmup_ratio=None, warmup_steps=8, patience=1),
    ):
        optimizer, curve = optimizer_of(1.0), option.curve(60, 4)
        rates = [r for (r,) in epochs(optimizer, built(option, optimizer), [0.5] * 15)]
        assert rates == pytest.approx([curve(step) for step in range(60)])


def test_plateau_goes_on_from_a_saved_state(tmp_path):
    option = ReduceOnPlateau(patience=1)
    straight = optimizer_of(1.0, 0.1)
    expected = epochs(straight, built(option, straight), METRICS)
    for cut in (1, 4, 6, 9):
        first = optimizer_of(1.0, 0.1)
        saved = built(option, first)
        epochs(first, saved, METRICS[:cut])
        torch.save({"s": saved.state_dict(), "o": first.state_dict()}, tmp_path / "state.ckpt")
        state = torch.load(tmp_path / "state.ckpt", weights_only=True)
        second = optimizer_of(1.0, 0.1)
        resumed = built(option, second)
        second.load_state_dict(state["o"])
        resumed.load_state_dict(state["s"])
        assert epochs(second, resumed, METRICS[cut:]) == expected[4 * cut :]
