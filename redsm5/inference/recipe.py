"""What of a config a model needs to predict: the options of the network, the format, the windows. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace

from redsm5.datamodules.formats import Format
from redsm5.errors import UserError
from redsm5.inference.allowed import refuse_foreign
from redsm5.modules.aggregation import Aggregation
from redsm5.modules.coupling import Coupling, Independent
from redsm5.modules.criteria_head import CriteriaHead
from redsm5.modules.decoding import SpanDecoding
from redsm5.modules.encoder import Encoder
from redsm5.modules.evidence_head import EvidenceHead
from redsm5.modules.pooling import Pooling
from redsm5.peft.freezing import Freezing, NoFreezing
from redsm5.peft.methods import PEFT, NoPEFT


@dataclass(frozen=True)
class NetworkRecipe:
    """The options of ``Network``, as in ``model``."""

    encoder: Encoder
    pooling: Pooling
    aggregation: Aggregation
    criteria_head: CriteriaHead
    evidence_head: EvidenceHead
    peft: PEFT = NoPEFT()  # noqa: RUF009 - frozen dataclasses: sharing one default instance is safe
    freezing: Freezing = NoFreezing()  # noqa: RUF009
    coupling: Coupling = Independent()  # noqa: RUF009


@dataclass(frozen=True)
class DataRecipe:
    """How a post is laid out, as in ``data``."""

    format: Format
    max_length: int
    stride: int


@dataclass(frozen=True)
class RuntimeRecipe:
    """How it was computed in training, as in ``runtime``."""

    precision: Literal["none", "bf16", "fp16"]


@dataclass(frozen=True)
class Recipe:
    """Everything but weights, tokenizer, criteria and thresholds."""

    network: NetworkRecipe
    decoding: SpanDecoding
    data: DataRecipe
    runtime: RuntimeRecipe

    def with_random_encoder(self, folder: Path | None = None) -> Recipe:
        """The same with an encoder whose weights are not read: they come from elsewhere.

        Args:
            folder: Holds its config.json; None for the encoder's own.
        """
        encoder = self.network.encoder
        if folder is not None:
            encoder = replace(encoder, id=str(folder), revision=None)
        return replace(self, network=replace(self.network, encoder=replace(encoder, random_weights=True)))


def recipe_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a run's config that prediction needs: it is a recipe's config again.

    Args:
        config: A resolved config, as plain values.

    Raises:
        KeyError: A part without a default is missing.
    """
    kept = {"model": (*_names(NetworkRecipe), "decoding"), "data": _names(DataRecipe), "runtime": _names(RuntimeRecipe)}
    newer = {field.name for field in fields(NetworkRecipe) if field.default is not MISSING}
    return {
        part: {name: config[part][name] for name in names if name in config[part] or name not in newer}
        for part, names in kept.items()
    }


def merged_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's config once its method is folded into the encoder: a plain encoder.

    Args:
        config: From ``recipe_config``.
    """
    folded = {"peft", "freezing"}
    return {**config, "model": {name: value for name, value in config["model"].items() if name not in folded}}


def read_recipe(config: Any, source: str) -> Recipe:
    """Build the options that a config describes.

    Args:
        config: Plain values: of a run's resolved config, or of ``recipe_config``.
        source: The file in messages.

    Raises:
        UserError: It is not such a config, an option refuses its values, or it names code of another package.
    """
    try:
        chosen = recipe_config(config)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{source} is no config of a redsm5 run ({error} is missing); fit or export again") from error
    owners = {"model": NetworkRecipe, "data": DataRecipe, "runtime": RuntimeRecipe, "decoding": SpanDecoding}
    chosen["decoding"] = chosen["model"].pop("decoding")
    for key, owner in owners.items():
        refuse_foreign(chosen[key], owner, source)
    parser = ArgumentParser(exit_on_error=False)
    for key, owner in owners.items():
        parser.add_class_arguments(owner, key)
    try:
        built: Namespace = parser.instantiate_classes(parser.parse_object(chosen))
    except Exception as error:
        raise UserError(
            f"{source} does not fit this version of redsm5 ({_last_line(error)}); use the version that wrote it"
        ) from error
    return Recipe(built.model, built.decoding, built.data, built.runtime)


def _names(owner: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(owner))


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
