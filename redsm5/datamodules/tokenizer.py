"""Tokenizers as the encoders were trained with them: case, normaliser, length. Torch-free until one is loaded."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from redsm5 import hub
from redsm5.catalog import CATALOG, EncoderFacts, facts
from redsm5.datamodules.tokenizer_normalizers import mend_normalizer
from redsm5.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def load_tokenizer(id: str, revision: str | None = None) -> PreTrainedTokenizerFast:
    """The tokenizer of an encoder, with offsets into the text as it was given.

    Against the defaults of transformers 5 it has the case of the encoder where its files do not say, the length limit
    of the encoder, the NFKC table of DeBERTa-v3, spaces for the line breaks that BigBird does not know, and neither the
    truncation nor the padding that some tokenizer.json files ask for.

    Args:
        id: Hub id or local folder.
        revision: Branch, tag or commit on the hub.

    Raises:
        UserError: It cannot be found or read, or it has no offsets.
    """
    known = facts(id, revision)
    folder = hub.resolve(id, revision, allow=hub.TOKENIZER, need=hub.VOCABULARIES)
    if not hub.has_any(folder, hub.VOCABULARIES):
        raise UserError(f"{id} holds no tokenizer (none of {', '.join(hub.VOCABULARIES)}); add its files to the folder")
    arguments: dict[str, Any] = {"model_max_length": known.context, "local_files_only": True}
    if (cased := _is_cased(known, folder)) is not None:
        arguments["do_lower_case"] = not cased
    try:
        tokenizer = _class(known, folder).from_pretrained(folder, **arguments)
    except (OSError, ValueError, KeyError, TypeError, ImportError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else ""
        raise UserError(
            f"cannot read the tokenizer of {id} in {folder} ({type(error).__name__}: {reason}); "
            "fetch its files again, and see that sentencepiece and protobuf are installed"
        ) from error
    if not tokenizer.is_fast:
        raise UserError(f"the tokenizer of {id} ({type(tokenizer).__name__}) gives no offsets; give another encoder")
    mend_normalizer(tokenizer, folder)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    # Posts are cut into windows after tokenisation, so a long one is no reason to warn.
    tokenizer.deprecation_warnings["sequence-length-is-longer-than-the-specified-maximum"] = True
    return cast("PreTrainedTokenizerFast", tokenizer)


def check_vocabulary(tokenizer: PreTrainedTokenizerFast, rows: int, id: str) -> None:
    """See that every token has a row in the embedding table.

    Args:
        tokenizer: Of the encoder `id`.
        rows: Rows of the encoder's embedding table.
        id: Named in the error.

    Raises:
        UserError: The tokenizer has more tokens.
    """
    if len(tokenizer) > rows:
        raise UserError(
            f"the tokenizer of {id} has {len(tokenizer):,} tokens and its encoder knows {rows:,}; the two do not match"
        )


def _class(known: EncoderFacts, folder: Path) -> Any:
    """The class by name where the files may not tell it, else whatever they ask for."""
    from transformers import AutoTokenizer, BertTokenizer

    declared = _json(folder / "config.json").keys() | _json(folder / "tokenizer_config.json").keys()
    if known.family == "bert" and (known.tokenizer == "WordPiece" or not {"model_type", "tokenizer_class"} & declared):
        return BertTokenizer
    return AutoTokenizer


def _is_cased(known: EncoderFacts, folder: Path) -> bool | None:
    """Whether upper case is kept; None where that is no question or the files answer it.

    A WordPiece tokenizer takes its case from tokenizer_config.json alone and lowercases without it. An encoder outside
    the table is then cased if its tokenizer.json keeps case or its vocabulary has upper case.
    """
    if known.id in CATALOG and known.cased is not None:
        return known.cased if known.tokenizer == "WordPiece" else None
    if "do_lower_case" in _json(folder / "tokenizer_config.json"):
        return None
    normalizer = _json(folder / "tokenizer.json").get("normalizer") or {}
    if normalizer.get("type") == "BertNormalizer":
        return not normalizer.get("lowercase", True)
    vocabulary = folder / "vocab.txt"
    if not vocabulary.is_file():
        return None
    with vocabulary.open(encoding="utf-8") as lines:
        return any(line != line.lower() for line in lines if not line.startswith("["))


def _json(path: Path) -> dict[str, Any]:
    """A JSON object, empty where there is none to read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
