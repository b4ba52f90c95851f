"""Predictions on tensors without values against what real steps take."""

import pytest
import torch
from fake_reference import OUTPUTS, encoder_folder, module_of, real_peaks

from redsm5.batch_search.fake import FakeProbe
from redsm5.catalog import CATALOG
from redsm5.modules.adversarial import FGM, NoAdversarial
from redsm5.modules.encoder import Encoder
from redsm5.modules.evidence_head import CRF, Biaffine, SentenceRanker
from redsm5.modules.module import MultiTaskModule
from redsm5.modules.pooling import ScalarMix
from redsm5.optim.adafactor import Adafactor
from redsm5.optim.layerwise import LAMB, NovoGrad
from redsm5.optim.optimizers import AdaBelief, Adam, AdamW, RAdam
from redsm5.optim.sgd import SGD, Lion, SGDMomentum
from redsm5.peft.freezing import BottomLayers, WholeEncoder
from redsm5.peft.methods import METHODS, AdaLoRA, Houlsby, LoRA, NoPEFT

GIB = 1024**3
LENGTH = 128


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders with a config, made when they are first asked for."""
    made = {}

    def folder(family):
        if family not in made:
            made[family] = encoder_folder(family, tmp_path_factory.mktemp(family))
        return made[family]

    return folder


@pytest.fixture
def bert(folders):
    return folders("bert")


def probe(model, *, length=LENGTH, precision="none", accumulates=False, n_outputs=OUTPUTS):
    return FakeProbe(model, n_outputs=n_outputs, max_length=length, precision=precision, accumulates=accumulates)


@pytest.mark.parametrize(
    ("family", "options", "tolerance"),
    [
        ("bert", {}, 0.02),
        ("bert", {"peft": AdaLoRA()}, 0.02),
        ("bert", {"peft": Houlsby()}, 0.02),
        ("bert", {"freezing": BottomLayers(2)}, 0.02),
        ("bert", {"freezing": WholeEncoder()}, 0.02),
        ("bert", {"evidence_head": Biaffine()}, 0.02),
        ("distilbert", {"peft": LoRA()}, 0.02),
        ("electra", {"checkpointing": True}, 0.02),
        ("longformer", {}, 0.02),
        ("big_bird", {}, 0.02),
        # Some tensors of the backward pass die a moment earlier outside of the count.
        ("deberta-v2", {}, 0.1),
    ],
)
def test_prediction_is_what_the_profiler_sees_of_a_real_step(folders, family, options, tolerance):
    found = probe(module_of(folders(family), **options))(16, 16)
    passes, step, evaluation = real_peaks(module_of(folders(family), **options), 16, LENGTH, half=False)
    assert found.passes == pytest.approx(passes, rel=tolerance)
    assert found.step == pytest.approx(step, rel=0.02)
    assert found.evaluation == pytest.approx(evaluation, rel=0.02)


def test_prediction_holds_under_autocast_with_dropout(folders):
    """Longformer has no fused attention: what is kept of it on a CPU is what is kept on a GPU."""
    options = {"dropout": True}
    found = probe(module_of(folders("longformer"), **options), precision="bf16")(16, 16)
    passes, step, evaluation = real_peaks(module_of(folders("longformer"), **options), 16, LENGTH, half=True)
    assert found.passes == pytest.approx(passes, rel=0.03)
    assert found.step == pytest.approx(step, rel=0.02)
    assert found.evaluation == pytest.approx(evaluation, rel=0.04)


def test_prediction_of_an_accumulating_step_is_that_of_a_real_one(bert):
    found = probe(module_of(bert), accumulates=True)(2, 1)
    passes = real_peaks(module_of(bert), 2, LENGTH, half=False, accumulates=True)[0]
    assert found.passes == pytest.approx(passes, rel=0.04)
    assert found.passes > probe(module_of(bert))(2, 1).passes


@pytest.mark.parametrize("checkpointing", [False, True])
def test_prediction_is_a_line_in_windows_above_a_floor(bert, checkpointing):
    count = probe(module_of(bert, checkpointing=checkpointing))
    passes = [count(windows, 1).passes for windows in (1, 20, 40, 80)]
    assert passes == sorted(passes)
    assert passes[3] - passes[2] == pytest.approx(2 * (passes[2] - passes[1]), rel=0.02)
    resting = 4 * 4 * sum(p.numel() for p in count._network.parameters())  # weights, gradients, two moments
    assert resting <= count(1, 1).step < 1.05 * resting
    assert passes[0] > resting


def test_prediction_does_not_depend_on_what_was_asked_before(bert):
    count = probe(module_of(bert, dropout=True), precision="bf16")
    first = count(8, 8)
    count(32, 300)
    again = count(8, 8)
    assert again.passes == pytest.approx(first.passes, rel=1e-3)
    assert (again.step, again.evaluation) == (first.step, first.evaluation)


def test_prediction_leaves_the_module_as_it_was(bert):
    model = module_of(bert)
    probe(model)
    assert model.network is None
    assert not hasattr(model, "criteria_loss")


def test_prediction_in_half_precision_takes_less(bert):
    full, half, other = (probe(module_of(bert), precision=name)(32, 32) for name in ("none", "bf16", "fp16"))
    assert half.passes < 0.85 * full.passes
    assert half == other
    assert half.step == full.step


def test_prediction_of_checkpointing_takes_less(bert):
    plain, less = (probe(module_of(bert, checkpointing=value))(32, 1) for value in (False, True))
    assert less.passes < 0.6 * plain.passes


def test_prediction_of_an_attack_holds_two_graphs(bert):
    plain, attacked = (probe(module_of(bert, adversarial=option)) for option in (NoAdversarial(), FGM()))
    slopes = [count(40, 1).passes - count(20, 1).passes for count in (plain, attacked)]
    assert slopes[1] == pytest.approx(2 * slopes[0], rel=0.15)


def test_prediction_of_an_evaluation_grows_by_states_alone_beyond_a_chunk(bert):
    """16,384 tokens are 128 windows; then each window adds its states twice, in its chunk and in the joined copy."""
    count = probe(module_of(bert))
    one, two, four = (count(1, windows).evaluation for windows in (512, 1024, 2048))
    assert four - two == pytest.approx(2 * (two - one), rel=0.01)
    states = 4 * LENGTH * 128
    assert 2 * states <= (four - two) / 1024 < 6 * states


@pytest.mark.parametrize(
    ("optimizer", "copies"),
    [
        (SGD(), 0), (SGDMomentum(), 1), (Lion(), 1), (NovoGrad(), 1), (Adafactor(), 0.1), (AdamW(), 2), (Adam(), 2),
        (RAdam(), 2), (LAMB(), 2), (AdaBelief(), 2),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, int | float) else "",
)  # fmt: skip
def test_prediction_knows_the_states_of_every_optimizer(bert, optimizer, copies):
    count = probe(module_of(bert, optimizer=optimizer))
    weights = 4 * sum(p.numel() for p in count._network.parameters())
    assert count._resting / weights - 2 == pytest.approx(copies, abs=0.1)  # beside weights and gradients
    assert count(1, 1).step >= count._resting


@pytest.mark.parametrize("optimizer", [LAMB(), NovoGrad(), Adafactor(), Lion(), AdaBelief(), SGD()])
def test_prediction_of_a_step_is_that_of_a_real_one(bert, optimizer):
    found = probe(module_of(bert, optimizer=optimizer))(1, 1).step
    assert found == pytest.approx(real_peaks(module_of(bert, optimizer=optimizer), 1, LENGTH, half=False)[1], rel=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_prediction_knows_every_method(bert, method):
    few, more = (probe(module_of(bert, peft=method(), dropout=True), precision="bf16")(n, n) for n in (8, 16))
    assert few.step <= few.passes < more.passes
    if method is not NoPEFT:
        assert few.step < probe(module_of(bert))(1, 1).step


@pytest.mark.parametrize("option", [Biaffine(), CRF(), SentenceRanker()], ids=lambda head: type(head).__name__)
def test_prediction_knows_heads_whose_shapes_depend_on_values(bert, option):
    count = probe(module_of(bert, evidence_head=option, pooling=ScalarMix(layers=2)), n_outputs=1)
    few, more = count(8, 8), count(16, 16)
    assert few.passes < more.passes
    assert few.evaluation < more.evaluation


def test_prediction_of_bert_base_is_near_what_was_counted_before():
    """With another counter, of the encoder alone: 3.01, 4.63, 7.89, 14.39 GiB at 8, 16, 32, 64 windows in bf16."""
    count = probe(MultiTaskModule(Encoder(id="google-bert/bert-base-uncased", random_weights=True)), length=512,
                  precision="bf16")  # fmt: skip
    few, more = (count(windows, 1).passes / GIB for windows in (8, 16))
    assert (more - few) / 8 == pytest.approx((14.39 - 3.01) / 56, rel=0.05)
    # Gradients of the step before are there while a batch passes forward.
    gradients = 4 * 109e6 / GIB
    assert few == pytest.approx(3.01 + gradients, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("method", [NoPEFT, LoRA])
@pytest.mark.parametrize("encoder", CATALOG)
def test_every_encoder_of_the_catalog_can_be_predicted(encoder, method):
    model = MultiTaskModule(Encoder(id=encoder, random_weights=True), peft=method())
    count = probe(model, length=512, precision="bf16")
    few, more = count(4, 4), count(8, 8)
    weights = 4 * sum(p.numel() for p in count._network.parameters())
    assert weights < few.step < few.passes < more.passes < 64 * GIB
    assert weights < few.evaluation < more.evaluation
    assert not torch.is_autocast_enabled("cpu")
