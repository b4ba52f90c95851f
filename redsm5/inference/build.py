"""From the files of a model to its network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Set

import torch
from torch import Tensor

from redsm5.errors import UserError
from redsm5.inference.model_files import ModelFiles
from redsm5.modules.network import Network
from redsm5.peft.attach import base_state

ENCODER_PREFIX = "encoder."


def build_network(files: ModelFiles, n_outputs: int) -> Network:
    """The network with its weights, in evaluation mode, on the CPU.

    Args:
        files: The model.
        n_outputs: Outputs per example of its format.

    Raises:
        UserError: The weights are not those of this network, or the base is not the one that was trained on.
    """
    options = files.recipe.network
    with torch.random.fork_rng(devices=[]):  # Building draws weights; what a caller has seeded is left alone.
        network = Network(
            encoder=options.encoder,
            pooling=options.pooling,
            aggregation=options.aggregation,
            criteria_head=options.criteria_head,
            evidence_head=options.evidence_head,
            n_outputs=n_outputs,
            peft=options.peft,
            freezing=options.freezing,
        )
    allowed_missing: Set[str] = frozenset()
    if files.base is not None:
        found = state_sha256(base_state(network.encoder))
        if found != files.base.sha256:
            raise UserError(
                f"the weights of {options.encoder.id} here are not those that the model was trained on (hash "
                f"{found[:12]}, expected {(files.base.sha256 or '')[:12]}); get revision {files.base.revision}"
            )
        allowed_missing = network.state_dict().keys() - trained_state(network).keys()
    try:
        result = network.load_state_dict(files.state, strict=False)
    except RuntimeError as error:  # a tensor of another shape
        raise UserError("the model's weights do not have the shapes of its config; export or fit again") from error
    missing, unexpected = set(result.missing_keys) - allowed_missing, result.unexpected_keys
    if missing or unexpected:
        named = sorted(missing) or sorted(unexpected)
        what = "lacks" if missing else "holds unknown"
        raise UserError(f"the model's weights: the file {what} {len(named)} tensors ({named[0]}); export or fit again")
    return network.eval()


def trained_state(network: Network) -> dict[str, Tensor]:
    """The tensors of a network without what the pretrained encoder gives: its frozen parameters and its buffers.

    Args:
        network: The network; what was trained has ``requires_grad``.
    """
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    return {
        name: tensor
        for name, tensor in network.state_dict().items()
        if name in trained or not name.startswith(ENCODER_PREFIX)
    }


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
