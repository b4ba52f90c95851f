"""Which tensors of a network were trained, and a hash of those that were not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from redsm5 import hub
from redsm5.checkpoints.manifest import Base
from redsm5.errors import UserError

if TYPE_CHECKING:
    from redsm5.modules.network import Network

ENCODER_PREFIX = "encoder."


def trained_state(network: Network) -> dict[str, Tensor]:
    """The tensors of a network without what the pretrained encoder gives: its frozen parameters and its buffers.

    A network of which nothing is frozen is there as a whole.

    Args:
        network: The network; what was trained has ``requires_grad``.
    """
    state = network.state_dict()
    frozen = {name for name, p in network.encoder.named_parameters(ENCODER_PREFIX[:-1]) if not p.requires_grad}
    if not frozen:
        return state
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    return {name: tensor for name, tensor in state.items() if name in trained or not name.startswith(ENCODER_PREFIX)}


def frozen_state(network: Network) -> dict[str, Tensor]:
    """The other tensors: those that the pretrained encoder gives."""
    kept = trained_state(network).keys()
    return {name: tensor for name, tensor in network.state_dict().items() if name not in kept}


def state_sha256(state: Mapping[str, Tensor]) -> str:
    """A hash of tensors that does not depend on the file they came from.

    Args:
        state: Tensors by name.

    Returns:
        64 hexadecimal digits over names, types, shapes and contents, in the order of the names.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def base_of(network: Network, id: str, revision: str | None) -> Base:
    """What the trained tensors of a network stand on.

    Args:
        network: The network.
        id: Of its encoder.
        revision: Of its encoder, as asked for.
    """
    frozen = frozen_state(network)
    sha256 = state_sha256(frozen) if frozen else None
    return Base(id=id, revision=hub.resolved_revision(id, revision), sha256=sha256)


def refuse_other_base(theirs: Base, ours: Base) -> None:
    """See that what was not trained is what it was when the rest was.

    Args:
        theirs: Of a checkpoint.
        ours: Of this model.

    Raises:
        UserError: It is another encoder, or the same with other weights.
    """
    if theirs.sha256 != ours.sha256:
        was, now = (base.sha256[:12] if base.sha256 else "none" for base in (theirs, ours))
        raise UserError(
            f"the weights of {ours.id} that are not trained are others than when the checkpoint was written (hash "
            f"{now}, then {was}); use the encoder as it was{f', revision {theirs.revision}' if theirs.revision else ''}"
        )


def refuse_other_model(
    theirs: Mapping[str, str], ours: Mapping[str, str], found: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> None:
    """See that a checkpoint is one of this model.

    Args:
        theirs: What its weights are for, in words by part.
        ours: The same of this model.
        found: Its tensors.
        expected: Those that this model would save.

    Raises:
        UserError: Something differs; names it.
    """
    for part in sorted(theirs.keys() | ours.keys()):
        if theirs.get(part) != ours.get(part):
            raise UserError(
                f"the checkpoint is of another model: its {part} is {theirs.get(part, 'none')}, here it is "
                f"{ours.get(part, 'none')}; use the config of its run"
            )
    shapes = [{name: tuple(tensor.shape) for name, tensor in state.items()} for state in (found, expected)]
    for name in sorted(shapes[0].keys() | shapes[1].keys()):
        there, here = (shape.get(name, "not there") for shape in shapes)
        if there != here:
            raise UserError(
                f"the checkpoint is of another model: its {name} is {there}, here it is {here}; use the config and the "
                "encoder of its run"
            )
