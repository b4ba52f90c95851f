"""From the files of a model to its network."""

from __future__ import annotations

from collections.abc import Set

import torch

from redsm5.errors import UserError
from redsm5.inference.model_files import ModelFiles
from redsm5.modules.network import Network
from redsm5.modules.network_state import frozen_state, state_sha256


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
            coupling=options.coupling,
        )
    allowed_missing: Set[str] = frozenset()
    if files.base is not None:
        frozen = frozen_state(network)
        found = state_sha256(frozen)
        if found != files.base.sha256:
            raise UserError(
                f"the weights of {options.encoder.id} here are not those that the model was trained on (hash "
                f"{found[:12]}, expected {(files.base.sha256 or '')[:12]}); get revision {files.base.revision}"
            )
        allowed_missing = frozen.keys()
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
