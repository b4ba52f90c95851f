import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import get_linear_schedule_with_warmup

from redsm5.optim.schedules import Linear


def optimizer_of(*rates):
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr} for lr in rates])


def walk(optimizer, scheduler, steps):
    rates = []
    for _ in range(steps):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("option", "warmup"),
    [
        (Linear(), 10),
        (Linear(warmup_ratio=0.0), 0),
        (Linear(warmup_ratio=0.07), 7),
        (Linear(warmup_ratio=None, warmup_steps=33), 33),
        (Linear(warmup_ratio=None, warmup_steps=0), 0),
        (Linear(warmup_ratio=None, warmup_steps=250), 250),
    ],
    ids=str,
)
def test_linear_equals_that_of_transformers(option, warmup):
    ours, theirs = optimizer_of(2e-5, 1e-3), optimizer_of(2e-5, 1e-3)
    scheduler, reference = option.build(ours, 100), get_linear_schedule_with_warmup(theirs, warmup, 100)
    for mine, other in zip(walk(ours, scheduler, 100), walk(theirs, reference, 100), strict=True):
        assert mine == pytest.approx(other, rel=1e-12)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        # Ten steps of horizon, two of them warmup, and flat after.
        (Linear(warmup_ratio=0.2, horizon=0.5), {0: 0, 1: 0.5, 2: 1, 6: 0.5, 10: 0, 15: 0, 20: 0}),
        (Linear(warmup_ratio=0.2, horizon=0.5, final=0.2), {0: 0, 1: 0.5, 2: 1, 6: 0.6, 10: 0.2, 19: 0.2, 20: 0.2}),
        (Linear(warmup_ratio=0.0, final=1.0), {0: 1, 7: 1, 20: 1, 30: 1}),
        (Linear(warmup_ratio=None, warmup_steps=20, horizon=0.5, final=0.1), {0: 0, 5: 0.25, 9: 0.45, 10: 0.1}),
        (Linear(horizon=0.001), {0: 1, 1: 0}),
    ],
    ids=str,
)
def test_linear_table(option, expected):
    curve = option.curve(20)
    assert {step: curve(step) for step in expected} == pytest.approx(expected)


@given(
    st.builds(Linear, warmup_ratio=st.floats(0, 0.99), horizon=st.floats(0.01, 1), final=st.floats(0, 1)),
    st.integers(1, 500),
)
def test_linear_stays_between_zero_and_one_and_ends_at_final(option, total_steps):
    curve = option.curve(total_steps)
    factors = [curve(step) for step in range(total_steps + 2)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert factors[-1] == factors[-2] == option.final
    peak = factors.index(max(factors))
    assert all(a >= b for a, b in zip(factors[peak:], factors[peak + 1 :], strict=False))


def test_scheduler_goes_on_from_a_saved_state():
    option = Linear()
    straight = optimizer_of(1.0)
    rates = walk(straight, option.build(straight, 30), 30)
    first = optimizer_of(1.0)
    saved = option.build(first, 30)
    walk(first, saved, 12)
    second = optimizer_of(1.0)
    resumed = option.build(second, 30)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(saved.state_dict())
    assert walk(second, resumed, 18) == rates[12:]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"warmup_steps": 5}, "warmup_ratio is 0.1 and warmup_steps is 5; set one of them and the other to null"),
        ({"warmup_ratio": None}, "both null"),
        ({"warmup_ratio": 1.0}, "warmup_ratio is 1.0"),
        ({"warmup_ratio": -0.1}, "warmup_ratio is -0.1"),
        ({"warmup_ratio": None, "warmup_steps": -1}, "warmup_steps is -1"),
        ({"horizon": 0.0}, "horizon is 0.0"),
        ({"horizon": 1.5}, "horizon is 1.5"),
        ({"final": -0.1}, "final is -0.1"),
        ({"final": 1.1}, "final is 1.1"),
    ],
)
def test_linear_refuses(values, message):
    with pytest.raises(ValueError, match=message):
        Linear(**values)


def test_curve_refuses_no_steps():
    with pytest.raises(ValueError, match="total_steps is 0"):
        Linear().curve(0)
