import copy
import inspect
from functools import partial

import lightning.pytorch as pl
import numpy as np
import optimizer_references as papers
import pytest
import torch
from torch.utils.data import DataLoader

from redsm5.optim.adafactor import Adafactor
from redsm5.optim.layerwise import LAMB, NovoGrad
from redsm5.optim.optimizer import Optimizer
from redsm5.optim.optimizers import AdaBelief, Adam, AdamW, RAdam
from redsm5.optim.sgd import SGD, Lion, SGDMomentum

BETAS = {"betas": (0.8, 0.95)}
ADAM = {**BETAS, "eps": 1e-6}
CASES = {
    "AdamW": (AdamW(**ADAM), partial(papers.adamw, **ADAM)),
    "Adam": (Adam(**ADAM), partial(papers.adam, **ADAM)),
    "RAdam": (RAdam(**ADAM), partial(papers.radam, **ADAM)),
    "RAdam-rectified": (RAdam(betas=(0.9, 0.999)), partial(papers.radam, betas=(0.9, 0.999), eps=1e-8)),
    "AdaBelief": (AdaBelief(**ADAM), partial(papers.adabelief, **ADAM)),
    "LAMB": (LAMB(**ADAM), partial(papers.lamb, **ADAM)),
    "NovoGrad": (NovoGrad(**ADAM), partial(papers.novograd, **ADAM)),
    "NovoGrad-default": (NovoGrad(), partial(papers.novograd, betas=(0.95, 0.98), eps=1e-8)),
    "SGD": (SGD(), papers.sgd),
    "SGDMomentum": (SGDMomentum(), partial(papers.sgd, momentum=0.9)),
    "SGDMomentum-0": (SGDMomentum(momentum=0.0), papers.sgd),
    "SGDMomentum-0.99": (SGDMomentum(momentum=0.99), partial(papers.sgd, momentum=0.99)),
    "SGDMomentum-nesterov": (SGDMomentum(nesterov=True), partial(papers.sgd, momentum=0.9, nesterov=True)),
    "Lion": (Lion(**BETAS), partial(papers.lion, **BETAS)),
    "Adafactor": (Adafactor(), partial(papers.adafactor, scale_parameter=True)),
    "Adafactor-unscaled": (Adafactor(scale_parameter=False), partial(papers.adafactor, scale_parameter=False)),
    "Adafactor-relative": (
        Adafactor(relative_step=True),
        partial(papers.adafactor, scale_parameter=True, relative_step=True),
    ),
    "Adafactor-warmup": (
        Adafactor(relative_step=True, warmup_init=True, scale_parameter=False),
        partial(papers.adafactor, scale_parameter=False, relative_step=True, warmup_init=True),
    ),
}
ONE_EACH = [option for name, (option, _) in CASES.items() if "-" not in name] + [Adafactor(relative_step=True)]


def group(option, parameters, lr=1e-2, weight_decay=0.1, name="head"):
    relative = getattr(option, "relative_step", False)
    return {"name": name, "params": parameters, "lr": None if relative else lr, "weight_decay": weight_decay}


def test_every_variant_has_a_reference():
    assert {type(option) for option, _ in CASES.values()} == set(Optimizer.__subclasses__())


@pytest.mark.parametrize("case", CASES)
def test_optimizer_follows_its_paper_for_ten_steps(case):
    option, reference = CASES[case]
    generator = torch.Generator().manual_seed(0)
    matrix = torch.nn.Parameter(torch.randn(4, 3, generator=generator))
    vector = torch.nn.Parameter(torch.randn(5, generator=generator))
    gradients = [torch.randn(10, *p.shape, generator=generator) for p in (matrix, vector)]
    start = [p.detach().double().numpy() for p in (matrix, vector)]
    groups = [group(option, [matrix]), group(option, [vector], lr=5e-2, weight_decay=0.0, name="head.no_decay")]
    optimizer = option.build(groups)
    for step in range(10):
        for p, history in zip((matrix, vector), gradients, strict=True):
            p.grad = history[step].clone()
        optimizer.step()
    for i, (p, lr, decay) in enumerate(((matrix, 1e-2, 0.1), (vector, 5e-2, 0.0))):
        expected = reference(start[i], list(gradients[i].double().numpy()), lr, decay)
        assert np.abs(expected - start[i]).max() > 1e-6
        np.testing.assert_allclose(p.detach().numpy(), expected, rtol=2e-5, atol=2e-6)


def test_lamb_takes_norms_above_ten_as_ten():
    option, start = LAMB(**ADAM), np.full((20, 20), 3.0)
    parameter = torch.nn.Parameter(torch.tensor(start, dtype=torch.float32))
    gradients = torch.randn(10, 20, 20, generator=torch.Generator().manual_seed(2))
    optimizer = option.build([group(option, [parameter])])
    for g in gradients:
        parameter.grad = g.clone()
        optimizer.step()
    expected = papers.lamb(start, list(gradients.double().numpy()), 1e-2, 0.1, **ADAM)
    np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("option", ONE_EACH, ids=str)
def test_optimizer_keeps_the_groups(option):
    parameters = [torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))]
    groups = [group(option, parameters[:1], name="encoder.layer.0"), group(option, parameters[1:], 0.3, 0.0)]
    built = option.build(groups).param_groups
    assert [(g["name"], g["weight_decay"]) for g in built] == [("encoder.layer.0", 0.1), ("head", 0.0)]
    if not getattr(option, "relative_step", False):
        assert [g["lr"] for g in built] == [1e-2, 0.3]


@pytest.mark.parametrize("option", ONE_EACH, ids=str)
def test_optimizer_goes_on_from_a_saved_state_to_the_bit(option, tmp_path):
    def run(parameters, optimizer, history):
        for gradients in history:
            for p, g in zip(parameters, gradients, strict=True):
                p.grad = g.clone()
            optimizer.step()

    def fresh(values):
        parameters = [torch.nn.Parameter(v.detach().clone()) for v in values]
        return parameters, option.build([group(option, parameters[:1]), group(option, parameters[1:], 1e-3, 0.0)])

    generator = torch.Generator().manual_seed(1)
    start = [torch.randn(7, 5, generator=generator), torch.randn(50, generator=generator)]
    history = [[torch.randn(v.shape, generator=generator) for v in start] for _ in range(9)]
    straight, optimizer = fresh(start)
    run(straight, optimizer, history)

    first, saved = fresh(start)
    run(first, saved, history[:5])
    torch.save(copy.deepcopy(saved.state_dict()), tmp_path / "state.ckpt")
    resumed, optimizer = fresh(first)
    optimizer.load_state_dict(torch.load(tmp_path / "state.ckpt", weights_only=True))
    run(resumed, optimizer, history[5:])
    for a, b in zip(resumed, straight, strict=True):
        assert torch.equal(a, b)


def test_relative_adafactor_says_the_rate_of_its_next_step():
    option, parameter = Adafactor(relative_step=True, warmup_init=True), torch.nn.Parameter(torch.ones(2, 2))
    optimizer = option.build([group(option, [parameter])])
    said = []
    for _ in range(3):
        said.append(optimizer.param_groups[0]["lr"])
        parameter.grad = torch.ones(2, 2)
        optimizer.step()
    assert said == pytest.approx([1e-6, 2e-6, 3e-6])
    assert [option.own_rate()(step) for step in range(3)] == pytest.approx(said)


class Fitted(pl.LightningModule):
    """A line, and the gradient norms that reach the optimizer."""

    def __init__(self, option):
        super().__init__()
        self.option = option
        self.linear = torch.nn.Linear(3, 1)
        self.norms = []

    def training_step(self, batch, batch_idx):
        return 1000 * self.linear(batch).square().mean()

    def gradient_norm(self):
        return torch.stack([p.grad.norm() for p in self.parameters()]).norm().item()

    def configure_optimizers(self):
        parameters = list(self.parameters())
        optimizer = self.option.build([group(self.option, parameters[:1]), group(self.option, parameters[1:])])
        # Lightning computes and clips gradients in the closure, which some optimizers call themselves.
        inner = optimizer.step

        def step(closure=None):
            def watched():
                loss = closure()
                self.norms.append(self.gradient_norm())
                return loss

            return inner(watched)

        optimizer.step = step
        return optimizer


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("option", ONE_EACH, ids=str)
def test_optimizer_trains_with_clipping_and_accumulation(option, precision, tmp_path):
    torch.manual_seed(0)
    module = Fitted(option)
    trainer = pl.Trainer(
        accelerator="cpu",
        precision=precision,
        gradient_clip_val=0.5,
        accumulate_grad_batches=2,
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    before = [p.detach().clone() for p in module.parameters()]
    trainer.fit(module, DataLoader(torch.randn(10, 3), batch_size=2))
    assert trainer.global_step == 6  # five batches an epoch: two pairs, and the last one alone
    assert not any(torch.equal(p, b) for p, b in zip(module.parameters(), before, strict=True))
    assert all(p.isfinite().all() for p in module.parameters())
    assert len(module.norms) == 6
    assert max(module.norms) == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("option", [AdamW(), Adam(), SGD(), SGDMomentum()], ids=str)
def test_fused_optimizer_lets_the_grad_scaler_unscale_before_clipping(option):
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = option.build([group(option, [parameter])])
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale((parameter * torch.tensor([1.0, 2.0, 2.0])).sum()).backward()
    scaler.unscale_(optimizer)
    torch.testing.assert_close(parameter.grad, torch.tensor([1.0, 2.0, 2.0]))
    scaler.step(optimizer)
    _, reference = CASES[type(option).__name__]
    if isinstance(option, AdamW | Adam):
        reference = partial(reference, betas=option.betas, eps=option.eps)
    expected = reference(np.ones(3), [np.array([1.0, 2.0, 2.0])], 1e-2, 0.1)
    np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("option", ONE_EACH, ids=str)
def test_grad_scaler_skips_the_step_on_an_overflow(option):
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = option.build([group(option, [parameter])])
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale((parameter * torch.inf).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(parameter, torch.ones(3))
    assert scaler.get_scale() < 1024


RATES = [
    ("lr", -1e-5),
    ("lr", float("nan")),
    ("head_lr", float("inf")),
    ("peft_lr", -1.0),
    ("weight_decay", -0.1),
    ("layer_decay", 0.0),
    ("layer_decay", 1.1),
]
REFUSED = [
    *((kind, {field: value}) for kind in Optimizer.__subclasses__() for field, value in RATES),
    *(
        (kind, {"betas": value})
        for kind in (AdamW, Adam, RAdam, AdaBelief, LAMB, NovoGrad, Lion)
        for value in ((0.9, 1.0), (-0.1, 0.9))
    ),
    *((kind, {"eps": 0.0}) for kind in (AdamW, Adam, RAdam, AdaBelief, LAMB, NovoGrad)),
    (SGDMomentum, {"momentum": 1.0}),
    (SGDMomentum, {"nesterov": True, "momentum": 0.0}),
    (Adafactor, {"warmup_init": True}),
    (Adafactor, {"lr": 1e-3, "relative_step": True}),
    (Adafactor, {"layer_decay": 0.9, "relative_step": True}),
]


@pytest.mark.parametrize(("kind", "values"), REFUSED, ids=lambda v: v.__name__ if inspect.isclass(v) else str(v))
def test_optimizer_refuses(kind, values):
    with pytest.raises(ValueError, match=f"^{next(iter(values))} is "):
        kind(**values)
