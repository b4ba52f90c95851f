"""Predictions on tensors without values against what real ones take."""

import numpy as np
import pytest
import torch
from tiny import write_tiny_encoder

from redsm5.batch_search.encoder_bytes import CountedEncoder, ExtrapolatedEncoder
from redsm5.batch_search.fake import FakeProbe
from redsm5.batch_search.fake_batch import full_batch
from redsm5.catalog import CATALOG
from redsm5.cli import build_cli
from redsm5.optim.groups import parameter_groups
from redsm5.run.lightning_cli import make_cli

GIB = 1024**3


@pytest.fixture(scope="module")
def wide_encoder(tmp_path_factory):
    """Wide enough that what the allocator rounds up does not count."""
    return write_tiny_encoder(tmp_path_factory.mktemp("wide") / "bert", hidden=256)


def module(encoder, *more):
    options = [f"--model.encoder.id={encoder}", "--model.encoder.random_weights=true", "--data.path=none", *more]
    return make_cli(options, command="tune-batch").model


def probe(encoder, *more, length=64, precision="none", accumulates=False):
    return FakeProbe(
        module(encoder, *more), n_outputs=9, max_length=length, precision=precision, accumulates=accumulates
    )


def allocated(model, windows, length):
    """The most bytes that PyTorch's profiler sees allocated in the second of two training steps, weights included."""
    network = model.make_network(model.encoder_option, n_outputs=9).train()
    model.network, model.criteria_loss = network, model.criteria_loss_option.build((0.1,) * 9)
    optimizer = model.optimizer_option.build(parameter_groups(network, model.optimizer_option))
    batch = full_batch(windows, length, 9)
    model.losses(batch).total.backward()
    optimizer.step()
    resting = sum(p.untyped_storage().nbytes() for p in network.parameters())
    resting += sum(t.untyped_storage().nbytes() for state in optimizer.state.values() for t in state.values())
    optimizer.zero_grad()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        model.losses(batch).total.backward()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    deltas = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return resting + max(np.cumsum(deltas))


@pytest.mark.parametrize(
    "more",
    [(), ("--model.peft=LoRA",), ("--model.evidence_head=Biaffine",), ("--model.encoder.gradient_checkpointing=true",),
     ("--model.criteria_head=MLPHead", "--model.coupling=EvidenceInformed")],
    ids=["full", "LoRA", "biaffine", "checkpointing", "coupled"],
)  # fmt: skip
def test_prediction_is_what_the_profiler_sees_of_a_real_step(wide_encoder, more):
    options = ("--model.encoder.attention_dropout=0", *more)
    counted = probe(wide_encoder, *options)(24, 1).passes
    assert 0.9 < counted / allocated(module(wide_encoder, *options), 24, 64) < 1.2


def test_prediction_of_bert_base_is_what_was_measured_before(monkeypatch):
    """bert-base at 512 tokens in bf16, encoder alone, with Adam's states: 3.01, 4.63, 7.89, 14.39 GiB."""
    model = module("google-bert/bert-base-uncased", "--model.encoder.attention_dropout=0")
    encoder = CountedEncoder(model, length=512, half=True)
    found = [encoder.train(windows).peak / GIB for windows in (8, 16, 32, 64)]
    assert found == pytest.approx([3.01, 4.63, 7.89, 14.39], rel=0.05)


def test_prediction_with_checkpointing_has_the_step_as_its_floor():
    """The same with checkpointing: 1.33 GiB more for each 32 windows; below some number the step is the peak."""
    options = ("--model.encoder.attention_dropout=0", "--model.encoder.gradient_checkpointing=true")
    encoder = CountedEncoder(module("google-bert/bert-base-uncased", *options), length=512, half=True)
    passes = [encoder.train(windows).peak for windows in (1, 32, 64)]
    assert passes[0] == pytest.approx(encoder.step, rel=0.02)
    assert encoder.step < passes[1]
    assert (passes[2] - passes[1]) / GIB == pytest.approx(3.91 - 2.58, rel=0.08)


def test_prediction_is_a_line_in_windows(tiny_encoder):
    count = probe(tiny_encoder)
    passes = [count(windows, 1).passes for windows in (10, 20, 30, 60)]
    assert passes[1] - passes[0] == pytest.approx(passes[2] - passes[1], rel=0.01)
    assert passes[3] - passes[2] == pytest.approx(3 * (passes[1] - passes[0]), rel=0.01)


def test_prediction_counts_gradients_that_accumulate(wide_encoder):
    plain, more = (probe(wide_encoder, accumulates=value)(40, 1) for value in (False, True))
    parameters = sum(4 * p.numel() for p in module(wide_encoder).make_network(
        module(wide_encoder).encoder_option, n_outputs=9).encoder.parameters())  # fmt: skip
    assert more.passes - plain.passes == pytest.approx(parameters, rel=0.1)
    assert more.step == plain.step


def test_prediction_of_an_attack_holds_two_graphs(tiny_encoder):
    plain, attacked = (probe(tiny_encoder, f"--model.adversarial={name}") for name in ("NoAdversarial", "FGM"))
    slopes = [(count(80, 1).passes - count(40, 1).passes) for count in (plain, attacked)]
    assert slopes[1] == pytest.approx(2 * slopes[0], rel=0.05)


def test_prediction_of_an_evaluation_grows_by_states_beyond_a_chunk(tiny_encoder):
    count = probe(tiny_encoder)
    evaluation = [count(1, windows).evaluation for windows in (256, 1024, 2048)]
    assert evaluation[0] < evaluation[1] < evaluation[2]


@pytest.mark.parametrize(
    "optimizer",
    ["AdamW", "Adam", "Adafactor", "RAdam", "LAMB", "SGD", "SGDMomentum", "NovoGrad", "AdaBelief", "Lion"],
)
def test_prediction_knows_the_states_of_every_optimizer(wide_encoder, optimizer):
    encoder = CountedEncoder(module(wide_encoder, f"--model.optimizer={optimizer}"), length=64, half=False)
    weights = sum(4 * p.numel() for p in encoder._encoder.parameters())
    states = (encoder.resting - weights) / weights
    assert states == pytest.approx(
        {"SGD": 0, "SGDMomentum": 1, "Lion": 1, "NovoGrad": 1, "Adafactor": 0.1}.get(optimizer, 2), abs=0.15
    )


def test_extrapolation_over_layers_is_what_is_counted(tmp_path):
    """A family whose shapes depend on values is counted on one and two layers: here one that can do without."""
    encoder = write_tiny_encoder(tmp_path / "deep", layers=6, hidden=256)
    model = module(encoder)
    whole = CountedEncoder(model, length=64, half=False)
    few = [CountedEncoder(model, length=64, half=False, layers=n) for n in (1, 2)]
    extrapolated = ExtrapolatedEncoder(few[0], few[1], 6, accumulates=False)
    assert extrapolated.resting == pytest.approx(whole.resting, rel=0.02)
    assert extrapolated.step == pytest.approx(whole.step, rel=0.02)
    for windows in (8, 64, 256):
        assert extrapolated.train(windows).peak == pytest.approx(whole.train(windows).peak, rel=0.05)
        assert extrapolated.train(windows).between == pytest.approx(whole.train(windows).between, rel=0.05)
        assert extrapolated.evaluate(windows) == pytest.approx(whole.evaluate(windows), rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["NoPEFT", "LoRA", "LoRAPlus", "AdaLoRA", "Pfeiffer", "Houlsby", "Compacter", "IA3"])
@pytest.mark.parametrize("encoder", CATALOG)
def test_every_encoder_of_the_catalog_can_be_predicted(encoder, method):
    length = min(512, CATALOG[encoder].context)
    options = [f"--model.encoder.id={encoder}", f"--model.peft={method}", "--data.path=none"]
    build_cli(options, parse_only=True)
    count = probe(encoder, f"--model.peft={method}", length=length, precision="bf16")
    small, large = count(8, 8), count(16, 16)
    assert 0.2 * GIB < small.step < large.passes
    assert small.passes < large.passes < 64 * GIB
