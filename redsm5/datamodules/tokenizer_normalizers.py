"""Normalisers that transformers 5 leaves out or that a vocabulary needs, put into a loaded tokenizer."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redsm5.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_OTHER_SPACE = r"[^\S ]"
"""One whitespace character that is not a space: line breaks, tabs, no-break spaces."""


def mend_normalizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Make the normaliser of DeBERTa-v2/v3 and BigBird tokenizers what it was in training; others stay as they are.

    Args:
        tokenizer: Changed in place.
        folder: Where its files lie.
    """
    name = type(tokenizer).__name__
    if name == "DebertaV2Tokenizer":
        _mend_deberta(tokenizer, folder)
    elif name == "BigBirdTokenizer":
        _mend_bigbird(tokenizer, folder)


def _mend_deberta(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """The class of transformers 5.23 has NFC in place of the SentencePiece file's own table, NFKC in DeBERTa-v3.

    White space of any kind becomes one space, as in that class: a table that does not map line breaks would leave them
    unknown.
    """
    from tokenizers import Regex, normalizers

    table = _charsmap(folder, "spm.model")
    if table is None:
        return
    steps: list[Any] = [normalizers.Lowercase()] if getattr(tokenizer, "do_lower_case", False) else []
    steps += [
        normalizers.Replace(Regex(_OTHER_SPACE), " "),
        normalizers.Strip(),
        normalizers.Precompiled(table),
        normalizers.Replace(Regex(r"\s{2,}"), " "),
    ]
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence(steps)


def _mend_bigbird(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """BigBird's vocabulary has no line break: it would be unknown. One character for one, so offsets stay.

    As in SentencePiece, and not in the class of transformers 5.23: a space at the end makes no token, and the table of
    the file is used if it has one.
    """
    from tokenizers import Regex, normalizers

    backend = tokenizer.backend_tokenizer
    steps: list[Any] = [normalizers.Replace(Regex(_OTHER_SPACE), " ")]
    if (table := _charsmap(folder, "spiece.model")) is not None:
        steps.append(normalizers.Precompiled(table))
    steps.append(normalizers.Strip(left=False, right=True))
    backend.normalizer = normalizers.Sequence([*steps, backend.normalizer] if backend.normalizer else steps)


def _charsmap(folder: Path, name: str) -> bytes | None:
    """The normalisation table of a SentencePiece file, or of the tokenizer.json made from one."""
    model = folder / name
    if model.is_file():
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no stubs at hand
        from sentencepiece import sentencepiece_model_pb2

        proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # protobuf makes it at import
        try:
            proto.ParseFromString(model.read_bytes())
        except DecodeError as error:
            raise UserError(f"{model} is no SentencePiece file; fetch it again") from error
        return bytes(proto.normalizer_spec.precompiled_charsmap) or None
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    normalizer = json.loads(path.read_text(encoding="utf-8")).get("normalizer") or {}
    for step in [normalizer, *normalizer.get("normalizers", [])]:
        if step.get("type") == "Precompiled" and step.get("precompiled_charsmap"):
            return base64.b64decode(step["precompiled_charsmap"])
    return None
