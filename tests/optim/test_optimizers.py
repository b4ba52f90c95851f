import copy

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from redsm5.optim.optimizers import AdamW

OPTION = AdamW(lr=1e-2, head_lr=5e-2, weight_decay=0.1, betas=(0.8, 0.95), eps=1e-6)


def groups_of(parameters, lr=OPTION.lr, weight_decay=OPTION.weight_decay, name="head"):
    return [{"name": name, "params": parameters, "lr": lr, "weight_decay": weight_decay}]


def paper(theta, gradients, lr, option, weight_decay):
    """Algorithm 2 of Loshchilov and Hutter 2019 with decay scaled by the rate, in float64."""
    beta1, beta2 = option.betas
    m = v = np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        update = (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + option.eps)
        theta = theta - lr * weight_decay * theta - lr * update
    return theta


def test_adamw_follows_the_paper_with_each_groups_rate_and_decay():
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.nn.Parameter(torch.randn(4, 3, generator=generator)) for _ in range(2))
    gradients = torch.randn(2, 6, 4, 3, generator=generator)
    start = first.detach().double().numpy(), second.detach().double().numpy()
    optimizer = OPTION.build(
        [*groups_of([first]), *groups_of([second], lr=5e-2, weight_decay=0.0, name="head.no_decay")]
    )
    for step in range(6):
        first.grad, second.grad = gradients[0, step].clone(), gradients[1, step].clone()
        optimizer.step()
    history = gradients.double().numpy()
    for i, parameter, lr, decay in ((0, first, 1e-2, 0.1), (1, second, 5e-2, 0.0)):
        expected = paper(start[i], history[i], lr, OPTION, decay)
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_adamw_keeps_the_groups_names():
    optimizer = OPTION.build(groups_of([torch.nn.Parameter(torch.ones(2))], name="encoder.layer.0"))
    assert [group["name"] for group in optimizer.param_groups] == ["encoder.layer.0"]


def test_adamw_goes_on_from_a_saved_state_to_the_bit():
    def run(parameter, optimizer, gradients):
        for g in gradients:
            parameter.grad = g.clone()
            optimizer.step()

    gradients = torch.randn(8, 50, generator=torch.Generator().manual_seed(1))
    straight = torch.nn.Parameter(torch.ones(50))
    run(straight, OPTION.build(groups_of([straight])), gradients)

    first = torch.nn.Parameter(torch.ones(50))
    saved = OPTION.build(groups_of([first]))
    run(first, saved, gradients[:5])
    resumed = torch.nn.Parameter(first.detach().clone())
    optimizer = OPTION.build(groups_of([resumed]))
    optimizer.load_state_dict(copy.deepcopy(saved.state_dict()))
    run(resumed, optimizer, gradients[5:])
    assert torch.equal(resumed, straight)


class Fitted(pl.LightningModule):
    """A line, and the gradient norms that reach the optimizer."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 1)
        self.norms = []

    def training_step(self, batch, batch_idx):
        return 1000 * self.linear(batch).square().mean()

    def on_before_optimizer_step(self, optimizer):
        # Lightning clips after this hook; so look from the step itself.
        optimizer.register_step_pre_hook(lambda *_: self.norms.append(self.gradient_norm()))

    def gradient_norm(self):
        return torch.stack([p.grad.norm() for p in self.parameters()]).norm().item()

    def configure_optimizers(self):
        return OPTION.build(groups_of(list(self.parameters())))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_adamw_trains_with_clipping_under_mixed_precision(precision, tmp_path):
    torch.manual_seed(0)
    module = Fitted()
    trainer = pl.Trainer(
        accelerator="cpu",
        precision=precision,
        gradient_clip_val=0.5,
        max_steps=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    before = module.linear.weight.detach().clone()
    trainer.fit(module, DataLoader(torch.randn(8, 3), batch_size=4))
    assert not torch.equal(module.linear.weight, before)
    assert module.norms
    assert max(module.norms) <= 0.5 + 1e-4


def test_adamw_lets_the_grad_scaler_unscale_before_clipping():
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = OPTION.build(groups_of([parameter]))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale((parameter * torch.tensor([1.0, 2.0, 2.0])).sum()).backward()
    scaler.unscale_(optimizer)
    torch.testing.assert_close(parameter.grad, torch.tensor([1.0, 2.0, 2.0]))
    scaler.step(optimizer)
    expected = paper(np.ones(3), [np.array([1.0, 2.0, 2.0])], OPTION.lr, OPTION, OPTION.weight_decay)
    np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-6)


def test_grad_scaler_skips_the_step_on_an_overflow():
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = OPTION.build(groups_of([parameter]))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale((parameter * torch.inf).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(parameter, torch.ones(3))
    assert scaler.get_scale() < 1024


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lr", -1e-5),
        ("lr", float("nan")),
        ("head_lr", float("inf")),
        ("weight_decay", -0.1),
        ("betas", (0.9, 1.0)),
        ("betas", (-0.1, 0.9)),
        ("eps", 0.0),
    ],
)
def test_adamw_refuses(field, value):
    with pytest.raises(ValueError, match=f"{field} is "):
        AdamW(**{field: value})
