"""What goes with what, before a weight is read. Torch-free."""

from __future__ import annotations

from redsm5 import hub
from redsm5.catalog import CATALOG, EncoderFacts, facts, facts_of_config, read_config
from redsm5.errors import UserError
from redsm5.modules.encoder import Encoder
from redsm5.peft.freezing import Freezing, NoFreezing
from redsm5.peft.options import PEFT, NoPEFT


def known_facts(encoder: Encoder) -> EncoderFacts | None:
    """The facts of an encoder of the catalog or on this machine; None where the hub would have to be asked."""
    if encoder.id in CATALOG:
        return facts(encoder.id)
    folder = hub.cached_folder(encoder.id, encoder.revision, allow=hub.CONFIG)
    return None if folder is None else facts_of_config(encoder.id, read_config(folder / "config.json"))


def needs_facts(peft: PEFT, freezing: Freezing) -> bool:
    """Whether anything depends on the encoder."""
    return not (isinstance(peft, NoPEFT) and isinstance(freezing, NoFreezing))


def refuse_misfit(peft: PEFT, freezing: Freezing, known: EncoderFacts | None) -> None:
    """Refuse a method or a freezing that cannot be put on an encoder.

    Args:
        peft: The method.
        freezing: The freezing.
        known: The encoder; None where it is not known yet.

    Raises:
        UserError: They do not go together; the sentence begins with the key.
    """
    misfit = peft.misfit(known) if known is not None else None
    if misfit is not None:
        raise UserError(f"model.peft.{misfit}")
    misfit = freezing.misfit(known, peft)
    if misfit is not None:
        raise UserError(f"model.freezing.{misfit}")
