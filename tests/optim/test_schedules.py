import inspect
import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler
from transformers import optimization

from redsm5.optim.one_cycle import OneCycle
from redsm5.optim.reduce_on_plateau import ReduceOnPlateau
from redsm5.optim.schedule import Schedule
from redsm5.optim.schedules import (
    Constant,
    ConstantWarmup,
    Cosine,
    CosineRestarts,
    Exponential,
    Linear,
    NoSchedule,
    Polynomial,
)

PEAKS = (2e-5, 1e-3)
NO_WARMUP = {"warmup_ratio": 0.0}


def optimizer_of(*rates, **settings):
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr} for lr in rates], **settings)


def walk(optimizer, scheduler, steps):
    rates = []
    for _ in range(steps):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return rates


def built(option, optimizer, total_steps=100, steps_per_epoch=10):
    return option.build(optimizer, total_steps, steps_per_epoch, mode="max")


LIBRARIES = [
    (Linear(), lambda o: optimization.get_linear_schedule_with_warmup(o, 10, 100)),
    (Linear(**NO_WARMUP), lambda o: optimization.get_linear_schedule_with_warmup(o, 0, 100)),
    (Linear(warmup_ratio=0.07), lambda o: optimization.get_linear_schedule_with_warmup(o, 7, 100)),
    (
        Linear(warmup_ratio=None, warmup_steps=33),
        lambda o: optimization.get_linear_schedule_with_warmup(o, 33, 100),
    ),
    (
        Linear(warmup_ratio=None, warmup_steps=0),
        lambda o: optimization.get_linear_schedule_with_warmup(o, 0, 100),
    ),
    (Linear(warmup_ratio=None), lambda o: optimization.get_linear_schedule_with_warmup(o, 0, 100)),
    (
        Linear(warmup_ratio=None, warmup_steps=250),
        lambda o: optimization.get_linear_schedule_with_warmup(o, 250, 100),
    ),
    (Linear(final=0.1, **NO_WARMUP), lambda o: lr_scheduler.LinearLR(o, 1.0, 0.1, 100)),
    (Cosine(), lambda o: optimization.get_cosine_schedule_with_warmup(o, 10, 100)),
    (
        Cosine(final=0.2),
        lambda o: optimization.get_cosine_with_min_lr_schedule_with_warmup(o, 10, 100, min_lr_rate=0.2),
    ),
    (Cosine(**NO_WARMUP), lambda o: lr_scheduler.CosineAnnealingLR(o, 100)),
    (
        CosineRestarts(num_cycles=1),
        lambda o: optimization.get_cosine_with_hard_restarts_schedule_with_warmup(o, 10, 100, 1),
    ),
    (
        CosineRestarts(num_cycles=2),
        lambda o: optimization.get_cosine_with_hard_restarts_schedule_with_warmup(o, 10, 100, 2),
    ),
    (
        CosineRestarts(num_cycles=4, warmup_ratio=0.2),
        lambda o: optimization.get_cosine_with_hard_restarts_schedule_with_warmup(o, 20, 100, 4),
    ),
    (CosineRestarts(num_cycles=4, **NO_WARMUP), lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 25)),
    (
        CosineRestarts(num_cycles=2, T_mult=2, **NO_WARMUP),
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 30, T_mult=2),  # 30 and 60
        90,
    ),
    (
        CosineRestarts(num_cycles=4, T_mult=2, **NO_WARMUP),
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 7, T_mult=2),  # 7, 14, 28 and 56
        105,
    ),
    (
        Polynomial(power=2.0),
        lambda o: optimization.get_polynomial_decay_schedule_with_warmup(o, 10, 100, lr_end=0.0, power=2.0),
    ),
    (Polynomial(power=3.0, **NO_WARMUP), lambda o: lr_scheduler.PolynomialLR(o, 100, power=3.0)),
    (Polynomial(power=1.0), lambda o: optimization.get_linear_schedule_with_warmup(o, 10, 100)),
    (NoSchedule(), lambda o: optimization.get_constant_schedule(o)),
    (Constant(), lambda o: optimization.get_constant_schedule(o)),
    (ConstantWarmup(), lambda o: optimization.get_constant_schedule_with_warmup(o, 10)),
    (
        ConstantWarmup(warmup_ratio=None, warmup_steps=5),
        lambda o: optimization.get_constant_schedule_with_warmup(o, 5),
    ),
    (Exponential(gamma=0.95, **NO_WARMUP), lambda o: lr_scheduler.ExponentialLR(o, 0.95 ** (1 / 10))),
    (
        OneCycle(),
        lambda o: lr_scheduler.OneCycleLR(o, list(PEAKS), total_steps=101, cycle_momentum=False),
    ),
    (
        OneCycle(pct_start=0.1, div_factor=10, final_div_factor=100),
        lambda o: lr_scheduler.OneCycleLR(
            o, list(PEAKS), total_steps=101, pct_start=0.1, div_factor=10, final_div_factor=100, cycle_momentum=False
        ),
    ),
]


@pytest.mark.parametrize("case", LIBRARIES, ids=lambda case: str(case[0]))
def test_schedule_equals_that_of_the_library(case):
    option, library, steps = (*case, 100)[:3]
    ours, theirs = optimizer_of(*PEAKS), optimizer_of(*PEAKS)
    # OneCycleLR refuses to be stepped after its last value, so it gets one step more and so do we.
    scheduler, reference = built(option, ours, steps + isinstance(option, OneCycle)), library(theirs)
    for mine, other in zip(walk(ours, scheduler, steps), walk(theirs, reference, steps), strict=True):
        assert mine == pytest.approx(other, rel=1e-9, abs=1e-15)


def test_every_variant_is_compared_with_a_library():
    compared = {type(case[0]) for case in LIBRARIES} | {ReduceOnPlateau}  # in test_plateau.py
    assert compared == set(Schedule.__subclasses__())


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        # Ten steps of horizon, two of them warmup, and flat after.
        (Linear(warmup_ratio=0.2, horizon=0.5), {0: 0, 1: 0.5, 2: 1, 6: 0.5, 10: 0, 15: 0, 20: 0}),
        (Linear(warmup_ratio=0.2, horizon=0.5, final=0.2), {0: 0, 1: 0.5, 2: 1, 6: 0.6, 10: 0.2, 19: 0.2, 20: 0.2}),
        (Linear(warmup_ratio=0.0, final=1.0), {0: 1, 7: 1, 20: 1, 30: 1}),
        (Linear(warmup_ratio=None, warmup_steps=20, horizon=0.5, final=0.1), {0: 0, 5: 0.25, 9: 0.45, 10: 0.1}),
        (Linear(horizon=0.001), {0: 1, 1: 0}),
        (Cosine(warmup_ratio=0.2, horizon=0.5, final=0.2), {1: 0.5, 2: 1, 6: 0.6, 10: 0.2, 20: 0.2}),
        (CosineRestarts(warmup_ratio=0.2, horizon=0.5, final=0.2), {1: 0.5, 2: 1, 4: 0.6, 6: 1, 8: 0.6, 10: 0.2}),
        (Polynomial(warmup_ratio=0.0, horizon=0.5, final=0.2, power=2.0), {0: 1, 5: 0.4, 10: 0.2, 20: 0.2}),
        # An epoch has five steps: one of warmup, then gamma at its sixth step after, and its square ten steps after.
        (
            Exponential(warmup_ratio=None, warmup_steps=1, gamma=0.5),
            {0: 0, 1: 1, 6: 0.5, 11: 0.25, 16: 0.125},
        ),
        (OneCycle(pct_start=0.3, div_factor=10, horizon=0.5), {0: 0.1, 2: 1, 9: 1e-5, 12: 1e-5, 20: 1e-5}),
        # Epochs end at 5, 10, 15, 20. The first is the best; the second is let pass, the third reduces, and so on.
        (ReduceOnPlateau(warmup_ratio=0.0, patience=1), {0: 1, 14: 1, 15: 0.5, 24: 0.5, 25: 0.25}),
        (ReduceOnPlateau(warmup_ratio=0.0, patience=0, factor=0.1), {9: 1, 10: 0.1, 14: 0.1, 15: 0.01}),
        # The warmup ends at 6: the epoch that ends at 10 is the first that counts.
        (
            ReduceOnPlateau(warmup_ratio=0.3, patience=0),
            {3: 0.5, 6: 1, 14: 1, 15: 0.5},
        ),
    ],
    ids=str,
)
def test_schedule_table(option, expected):
    curve = option.curve(20, 5)
    assert {step: curve(step) for step in expected} == pytest.approx(expected)


@given(
    st.one_of(
        st.builds(kind, warmup_ratio=st.floats(0, 0.99), horizon=st.floats(0.01, 1), final=st.floats(0, 1))
        for kind in (Linear, Cosine, Polynomial)
    ),
    st.integers(1, 500),
)
def test_decay_stays_between_zero_and_one_and_ends_at_final(option, total_steps):
    curve = option.curve(total_steps, 1)
    factors = [curve(step) for step in range(total_steps + 2)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert factors[-1] == factors[-2] == option.final
    peak = factors.index(max(factors))
    assert all(a >= b for a, b in zip(factors[peak:], factors[peak + 1 :], strict=False))


@given(
    st.sampled_from([1, 2, 4]),
    st.sampled_from([1, 2]),
    st.integers(1, 500),
    st.floats(0, 0.5),
)
def test_restarts_are_at_the_top_of_every_cycle(cycles, growth, total_steps, warmup):
    option = CosineRestarts(num_cycles=cycles, T_mult=growth if cycles > 1 else 1, warmup_ratio=warmup)
    curve = option.curve(total_steps, 1)
    factors = [curve(step) for step in range(total_steps + 1)]
    assert all(0 <= factor <= 1 for factor in factors)
    decay = factors[option.warmup(total_steps) :]
    if len(decay) > 8 * (2**cycles - 1):  # eight steps or more in the shortest cycle
        assert sum(b > a for a, b in pairwise(decay)) == cycles - 1


@given(st.integers(1, 300), st.floats(0.01, 0.99), st.floats(1, 100))
def test_one_cycle_stays_within_its_bounds(total_steps, pct_start, div):
    curve = OneCycle(pct_start=pct_start, div_factor=div).curve(total_steps, 1)
    factors = [curve(step) for step in range(total_steps + 3)]
    assert all(0 < factor <= 1 + 1e-12 for factor in factors)
    assert factors[-1] == factors[total_steps - 1] == pytest.approx(1 / (div * 10_000))


@pytest.mark.parametrize("cycled", ["momentum", "betas"])
def test_one_cycle_moves_the_momentum_as_torch(cycled):
    def make():
        parameter = [torch.nn.Parameter(torch.ones(1))]
        kind, settings = (
            (torch.optim.SGD, {"momentum": 0.95})
            if cycled == "momentum"
            else (torch.optim.Adam, {"betas": (0.95, 0.9)})
        )
        return kind(parameter, lr=1e-3, **settings)

    ours, theirs = make(), make()
    scheduler = built(OneCycle(cycle_momentum=True), ours, 50)
    reference = lr_scheduler.OneCycleLR(theirs, 1e-3, total_steps=50)
    for _ in range(49):
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-9)
        assert ours.param_groups[0][cycled] == pytest.approx(theirs.param_groups[0][cycled])
        for optimizer, each in ((ours, scheduler), (theirs, reference)):
            optimizer.step()
            each.step()


def test_one_cycle_refuses_an_optimizer_without_momentum():
    with pytest.raises(ValueError, match="SGD has no momentum"):
        built(OneCycle(cycle_momentum=True), optimizer_of(1.0))
    assert built(OneCycle(), optimizer_of(1.0)) is not None


ONE_EACH = [kind() for kind in Schedule.__subclasses__() if kind not in (NoSchedule, Constant)]


@pytest.mark.parametrize("option", [*ONE_EACH, OneCycle(cycle_momentum=True)], ids=str)
def test_scheduler_goes_on_from_a_saved_state(option, tmp_path):
    def settings(optimizer):
        return [(group["lr"], group["momentum"]) for group in optimizer.param_groups]

    def run(optimizer, scheduler, steps):
        seen = []
        for _ in range(steps):
            seen.append(settings(optimizer))
            optimizer.step()
            scheduler.step()
        return seen

    straight = optimizer_of(1.0, momentum=0.9)
    expected = run(straight, built(option, straight, 30, 3), 30)
    first = optimizer_of(1.0, momentum=0.9)
    saved = built(option, first, 30, 3)
    run(first, saved, 12)
    torch.save({"scheduler": saved.state_dict(), "optimizer": first.state_dict()}, tmp_path / "state.ckpt")
    second = optimizer_of(1.0, momentum=0.9)
    resumed = built(option, second, 30, 3)
    state = torch.load(tmp_path / "state.ckpt", weights_only=True)
    second.load_state_dict(state["optimizer"])
    resumed.load_state_dict(state["scheduler"])
    assert run(second, resumed, 18) == expected[12:]


WARMUP = [
    ({"warmup_steps": 5}, "warmup_ratio is 0.1 and warmup_steps is 5; set one of them and the other to null"),
    ({"warmup_ratio": 1.0}, "warmup_ratio is 1.0"),
    ({"warmup_ratio": -0.1}, "warmup_ratio is -0.1"),
    ({"warmup_ratio": None, "warmup_steps": -1}, "warmup_steps is -1"),
]
HORIZON = [({"horizon": 0.0}, "horizon is 0.0"), ({"horizon": 1.5}, "horizon is 1.5")]
FINAL = [({"final": -0.1}, "final is -0.1"), ({"final": 1.1}, "final is 1.1")]
DECAYS = (Linear, Cosine, CosineRestarts, Polynomial)
REFUSED = [
    *((kind, *case) for kind in (*DECAYS, ConstantWarmup, Exponential, ReduceOnPlateau) for case in WARMUP),
    *((kind, *case) for kind in (*DECAYS, OneCycle) for case in HORIZON),
    *((kind, *case) for kind in DECAYS for case in FINAL),
    (CosineRestarts, {"num_cycles": 0}, "num_cycles is 0"),
    (CosineRestarts, {"T_mult": 0}, "T_mult is 0"),
    (Polynomial, {"power": 0.0}, "power is 0.0"),
    (Exponential, {"gamma": 0.0}, "gamma is 0.0"),
    (Exponential, {"gamma": 1.1}, "gamma is 1.1"),
    (OneCycle, {"pct_start": 0.0}, "pct_start is 0.0"),
    (OneCycle, {"pct_start": 1.0}, "pct_start is 1.0"),
    (OneCycle, {"div_factor": 0.5}, "div_factor is 0.5"),
    (OneCycle, {"final_div_factor": math.nan}, "final_div_factor is nan"),
    (ReduceOnPlateau, {"factor": 1.0}, "factor is 1.0"),
    (ReduceOnPlateau, {"patience": -1}, "patience is -1"),
    (ReduceOnPlateau, {"threshold": 1.0}, "threshold is 1.0"),
]


@pytest.mark.parametrize(
    ("kind", "values", "message"), REFUSED, ids=lambda v: v.__name__ if inspect.isclass(v) else str(v)
)
def test_schedule_refuses(kind, values, message):
    with pytest.raises(ValueError, match=message):
        kind(**values)


@pytest.mark.parametrize("kind", [NoSchedule, Constant, OneCycle])
@pytest.mark.parametrize("field", ["warmup_ratio", "warmup_steps"])
def test_schedule_without_warmup_has_no_such_field(kind, field):
    assert field not in kind.__dataclass_fields__


def test_curve_refuses_no_steps():
    with pytest.raises(ValueError, match="total_steps is 0"):
        Linear().curve(0, 1)
