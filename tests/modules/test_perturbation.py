from dataclasses import dataclass

import pytest
import torch
from encoder_samples import FAMILIES, random_batch, tiny_config
from torch import nn
from transformers import AutoModel, ModernBertConfig

from redsm5.modules.adversarial import FGM, PGD, NoAdversarial
from redsm5.modules.encoder_build import wrap


@dataclass
class Total:
    total: torch.Tensor


def same(loss):
    return loss


class Toy(nn.Module):
    """Embeddings, and something bent on top; token 0 is padding that nothing reads."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embeddings = nn.Embedding(10, 4)
        self.top = nn.Linear(4, 3)
        self.ids = torch.tensor([[1, 2, 3], [4, 5, 0]])

    def on(self, embedded):
        read = (self.ids > 0).unsqueeze(-1)
        return (torch.tanh(self.top(embedded)) * read).square().sum(dim=(1, 2)).exp().mean()

    def losses(self):
        return Total(self.on(self.embeddings(self.ids)))


def written_out(toy, epsilon, step, steps):
    """The loss at the end of the ascent, window by window, with a leaf in place of a hook."""
    base = toy.embeddings(toy.ids).detach()
    read = (toy.ids > 0).unsqueeze(-1)
    shift = torch.zeros_like(base)
    for _ in range(steps):
        leaf = (base + shift).requires_grad_()
        gradient = torch.autograd.grad(toy.on(leaf), leaf)[0]
        for w in range(len(base)):
            length = (base[w] * read[w]).norm()
            moved = shift[w] + step * length * gradient[w] / gradient[w].norm()
            shift[w] = moved if moved.norm() <= epsilon * length else moved / moved.norm() * epsilon * length
    return toy.on(toy.embeddings(toy.ids) + shift)


@pytest.mark.parametrize("scale", [1.0, 2.0**16, 1e30], ids=["plain", "fp16 scale", "huge"])
@pytest.mark.parametrize(
    ("option", "numbers"),
    [
        (FGM(epsilon=0.3), (0.3, 0.3, 1)),
        (PGD(epsilon=0.3, steps=3, step_size=0.5), (0.3, 0.15, 3)),
        (PGD(epsilon=0.3, steps=2, step_size=0.25), (0.3, 0.075, 2)),
    ],
    ids=["FGM", "PGD", "PGD inside the ball"],
)
def test_loss_and_its_gradients_equal_those_of_a_written_out_attack(option, numbers, scale):
    toy = Toy()
    plain, attacked = option.build()(toy.embeddings, toy.losses, lambda loss: loss * scale)
    expected = written_out(toy, *numbers)
    torch.testing.assert_close(attacked, expected)
    torch.testing.assert_close(plain.total, toy.losses().total)
    assert attacked > plain.total
    parameters = list(toy.parameters())
    for got, wanted in zip(
        torch.autograd.grad(attacked, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("option", [FGM(), PGD()], ids=lambda option: type(option).__name__)
def test_attack_leaves_parameters_gradients_hooks_and_random_numbers_alone(option):
    toy = Toy()
    before = {name: value.clone() for name, value in toy.state_dict().items()}
    toy.top.weight.grad = torch.ones_like(toy.top.weight)
    state = torch.get_rng_state()
    option.build()(toy.embeddings, toy.losses, same)
    assert all(torch.equal(value, before[name]) for name, value in toy.state_dict().items())
    assert torch.equal(toy.top.weight.grad, torch.ones_like(toy.top.weight))
    assert toy.embeddings.weight.grad is None
    assert not toy.embeddings._forward_hooks
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("bad", [float("inf"), float("nan"), 0.0])
def test_window_without_a_usable_gradient_stays_where_it_is(bad):
    toy = Toy()
    plain, attacked = FGM(epsilon=0.3).build()(toy.embeddings, toy.losses, lambda loss: loss * bad)
    torch.testing.assert_close(attacked, plain.total)


def test_failure_in_a_pass_removes_the_hook():
    toy = Toy()

    def fail():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        FGM().build()(toy.embeddings, fail, same)
    assert not toy.embeddings._forward_hooks


@pytest.mark.parametrize("frozen", [False, True], ids=["trained", "frozen"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("family", [*FAMILIES, "modernbert", "mpnet"])
def test_attack_raises_the_loss_of_every_family(family, checkpointing, frozen):
    torch.manual_seed(0)
    if family == "modernbert":
        specials = dict.fromkeys(("pad_token_id", "eos_token_id", "bos_token_id", "cls_token_id", "sep_token_id"), 0)
        config = ModernBertConfig(
            vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, **specials
        )
    else:
        config = tiny_config(family)
    if family == "mpnet" and checkpointing:
        pytest.skip("transformers cannot checkpoint MPNet")
    encoder = wrap(AutoModel.from_config(config), gradient_checkpointing=checkpointing)
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    if frozen:
        encoder.requires_grad_(False)
        encoder.layers[-1].requires_grad_(True)
    ids, mask = random_batch(2, 11)
    mask[1, 7:] = 0
    weights = torch.randn(encoder.hidden_size)

    def losses():
        states = encoder(ids, mask)
        return Total(((states * weights).sum(-1) * mask).tanh().mean())

    plain, attacked = FGM(epsilon=5e-2).build()(encoder.embeddings, losses, same)
    assert attacked > plain.total
    assert all(parameter.grad is None for parameter in encoder.parameters())
    (plain.total + attacked).backward()
    trained = [p for p in encoder.layers[-1].parameters() if p.requires_grad]
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in trained)
    assert all(p.grad is None for p in encoder.parameters() if not p.requires_grad)


def test_no_attack_is_none():
    assert NoAdversarial().build() is None


@pytest.mark.parametrize(
    ("option", "values", "said"),
    [
        (FGM, {"epsilon": 0.0}, "epsilon is 0.0"),
        (FGM, {"weight": -1.0}, "weight is -1.0"),
        (PGD, {"epsilon": float("inf")}, "epsilon is inf"),
        (PGD, {"steps": 0}, "steps is 0"),
        (PGD, {"step_size": 0.0}, "step_size is 0.0"),
    ],
)
def test_impossible_values_are_refused(option, values, said):
    with pytest.raises(ValueError, match=said):
        option(**values)
