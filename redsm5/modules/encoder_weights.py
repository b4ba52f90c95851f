"""From an encoder option to a transformers model: its config, its weights, and the checks that nothing is missing."""

from __future__ import annotations

import inspect
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import CONFIG_MAPPING, MODEL_MAPPING, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from redsm5 import hub
from redsm5.catalog import CATALOG, EncoderFacts, facts_of_config, read_config
from redsm5.errors import UserError
from redsm5.families import FAMILIES, family
from redsm5.modules.encoder import Encoder

_UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, SafetensorError, pickle.UnpicklingError)
# Parts of transformers without types.
_AUTO: Any = AutoModel
_CLASSES: Any = MODEL_MAPPING
_LOGGING: Any = logging

_HEAD_FIELDS = ("id2label", "label2id", "num_labels", "problem_type", "task_specific_params", "architectures")


def load(encoder: Encoder) -> PreTrainedModel:
    """The bare transformers model of an option, float32, without a pooler where the class can do without.

    Raises:
        UserError: It cannot be found, read or run as asked, or its file lacks weights.
    """
    if encoder.random_weights:
        config = _config_without_network(encoder)
        _prepare(config, encoder)
        return from_config(config)
    known = CATALOG.get(encoder.id)
    if known is not None and known.weights == ("flax",) and not Path(encoder.id).is_dir():
        raise _flax_only(encoder.id)
    folder = hub.resolve_weights(encoder.id, encoder.revision)
    config = config_of(encoder.id, folder)
    _prepare(config, encoder)
    return _load_weights(encoder.id, folder, config)


def from_config(config: PreTrainedConfig) -> PreTrainedModel:
    """The bare transformers model of a config with random weights, float32, without a pooler where that can be.

    Raises:
        UserError: transformers has no plain encoder for it.
    """
    with quiet():
        return cast(PreTrainedModel, _AUTO.from_config(config, dtype=torch.float32, **_class_arguments(config)))


def config_of(id: str, folder: Path) -> PreTrainedConfig:
    """The config of an encoder in a folder.

    Raises:
        UserError: config.json describes no encoder that transformers knows.
    """
    values = read_config(folder / "config.json")
    known = facts_of_config(id, values)
    if "hidden_size" not in values and "dim" not in values:
        return config_of_facts(known)
    for name in _HEAD_FIELDS:  # of the head that is left out; some hold types that the config class refuses
        values.pop(name, None)
    if known.family not in CONFIG_MAPPING:
        raise UserError(
            f"transformers has no architecture {known.family!r}, asked for by {id}; its own code is not run"
        )
    try:
        return CONFIG_MAPPING[known.family].from_dict({**values, "model_type": known.family})
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise UserError(f"the config.json of {id} is not valid for {known.family}: {_first_line(error)}") from error


def config_of_facts(known: EncoderFacts) -> PreTrainedConfig:
    """The config that facts describe: the exact architecture of each of the 30, without a file."""
    values: dict[str, Any] = {
        "vocab_size": known.vocabulary,
        "hidden_size": known.hidden,
        "num_hidden_layers": known.layers,
        "num_attention_heads": known.heads,
        "intermediate_size": known.ffn,
        "max_position_embeddings": known.context,
    }
    kind = family(known.family)
    if known.family != "distilbert":
        values["type_vocab_size"] = known.token_types
    else:
        values["hidden_dim"] = values.pop("intermediate_size")
    if kind.positions_after_padding:
        values |= {"max_position_embeddings": known.context + 2, "pad_token_id": 1, "layer_norm_eps": 1e-5}
    if known.family == "electra":
        values["embedding_size"] = known.hidden
    if known.family == "deberta-v2":  # version 3 of the architecture
        values |= {
            "relative_attention": True,
            "position_buckets": 256,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "pooler_hidden_size": known.hidden,
        }
    return CONFIG_MAPPING[known.family](**values)


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, no reports of unexpected keys, no background request for a conversion to safetensors."""
    level = _LOGGING.get_verbosity()
    bars = _LOGGING.is_progress_bar_enabled()
    before = os.environ.get("DISABLE_SAFETENSORS_CONVERSION")
    _LOGGING.set_verbosity_error()
    _LOGGING.disable_progress_bar()
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
    try:
        yield
    finally:
        _LOGGING.set_verbosity(level)
        if bars:
            _LOGGING.enable_progress_bar()
        if before is None:
            del os.environ["DISABLE_SAFETENSORS_CONVERSION"]
        else:
            os.environ["DISABLE_SAFETENSORS_CONVERSION"] = before


def _config_without_network(encoder: Encoder) -> PreTrainedConfig:
    """config.json where this machine has it, the catalog where it does not, the hub for the rest."""
    folder = hub.cached_folder(encoder.id, encoder.revision, allow=hub.CONFIG)
    if folder is None and encoder.id in CATALOG:
        return config_of_facts(CATALOG[encoder.id])
    return config_of(encoder.id, folder or hub.resolve(encoder.id, encoder.revision, allow=hub.CONFIG))


def _load_weights(id: str, folder: Path, config: PreTrainedConfig) -> PreTrainedModel:
    arguments = _class_arguments(config)
    if config.model_type == "deberta-v2":
        # The keys of nvidia/quality-classifier-deberta, saved from a larger module; no other has such keys.
        arguments["key_mapping"] = {r"^model\.": ""}
    try:
        with quiet():
            model, info = _AUTO.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=hub.has_any(folder, hub.SAFETENSORS),
                weights_only=True,
                output_loading_info=True,
                **arguments,
            )
    except _UNREADABLE as error:
        raise UserError(f"cannot read the weights of {id} in {folder}: {_first_line(error)}") from error
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    if missing:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise UserError(
            f"the weight file of {id} lacks {len(missing)} of its weights ({shown}), which would start random; "
            "give a checkpoint of the whole encoder"
        )
    return cast(PreTrainedModel, model)


def _class_arguments(config: PreTrainedConfig) -> dict[str, Any]:
    """Attention implementation, and no pooler where the class has a choice."""
    model_class = _class(config)
    attention = family(config.model_type).attention
    arguments: dict[str, Any] = {} if attention == "auto" else {"attn_implementation": attention}
    if "add_pooling_layer" in inspect.signature(model_class).parameters:
        arguments["add_pooling_layer"] = False
    return arguments


def _class(config: PreTrainedConfig) -> Any:
    try:
        model_class = _CLASSES[type(config)]
    except KeyError as error:
        raise UserError(f"transformers has no plain encoder for {config.model_type!r}; give another encoder") from error
    return model_class[0] if isinstance(model_class, tuple) else model_class


def _prepare(config: PreTrainedConfig, encoder: Encoder) -> None:
    encoder.refuse_checkpointing(config.model_type, _class(config).supports_gradient_checkpointing)
    _set_dropout(config, encoder)


def _set_dropout(config: PreTrainedConfig, encoder: Encoder) -> None:
    kind = family(config.model_type)
    for name, value, fields in (
        ("hidden_dropout", encoder.hidden_dropout, kind.hidden_dropout),
        ("attention_dropout", encoder.attention_dropout, kind.attention_dropout),
    ):
        if value is None:
            continue
        # Of an unknown family: a field of the class, not a left-over in the file that nothing reads.
        if config.model_type not in FAMILIES and not all(hasattr(type(config), field) for field in fields):
            raise UserError(f"{name} cannot be set for {encoder.id}: {config.model_type} names its dropouts otherwise")
        for field in fields:
            setattr(config, field, value)


def _flax_only(id: str) -> UserError:
    others = [other for other in CATALOG if other.startswith(id.split("-")[0]) and other != id]
    return UserError(f"{id} has only Flax weights, which transformers 5 does not read; use {' or '.join(others)}")


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}{': ' + text[0][:200] if text else ''}"
