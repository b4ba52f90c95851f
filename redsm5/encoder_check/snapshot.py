"""An encoder's repository in a cache of the hub's client: its config, a tokenizer of its kind, no weights."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redsm5.catalog import EncoderFacts

COMMIT = "0" * 40


@contextmanager
def own_cache(facts: EncoderFacts, texts: Sequence[str], cache: Path) -> Iterator[None]:
    """Let the hub's client find config and tokenizer of an encoder in a cache of ours, and use no network.

    Args:
        facts: Of the encoder.
        texts: What the tokenizer is trained on, in both cases, beside all printable characters.
        cache: Where to; does not exist.
    """
    import huggingface_hub

    write_snapshot(facts, cache, [*texts, string.printable, *(text.upper() for text in texts)])
    constants: Any = huggingface_hub.constants  # it has read the environment already
    before = constants.HF_HUB_CACHE, constants.HF_HUB_OFFLINE
    constants.HF_HUB_CACHE, constants.HF_HUB_OFFLINE = str(cache), True
    try:
        yield
    finally:
        constants.HF_HUB_CACHE, constants.HF_HUB_OFFLINE = before


def write_snapshot(facts: EncoderFacts, cache: Path, texts: Sequence[str]) -> Path:
    """Write an encoder's repository as the hub's client would have left it, so that it is found by its hub id.

    Args:
        facts: Of the encoder.
        cache: What ``HF_HUB_CACHE`` names.
        texts: What the tokenizer is trained on.

    Returns:
        The folder with the files.
    """
    from redsm5.modules.encoder_weights import config_of_facts

    repository = cache / f"models--{facts.id.replace('/', '--')}"
    folder = repository / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT, encoding="ascii")
    config_of_facts(facts).save_pretrained(folder)
    write_tokenizer(facts, folder, texts)
    return folder


def write_tokenizer(facts: EncoderFacts, folder: Path, texts: Sequence[str]) -> None:
    """Train a small tokenizer of an encoder's kind and write it in the files that its family has.

    Args:
        facts: Say the kind, the family and the case.
        folder: Where to.
        texts: To train on.

    Raises:
        ValueError: The kind is not known.
    """
    if facts.tokenizer == "WordPiece":
        _write_wordpiece(folder, texts, lowercase=not facts.cased)
    elif facts.tokenizer == "BPE":
        _write_byte_bpe(folder, texts)
    elif facts.tokenizer == "Unigram":
        _write_unigram(facts.family, folder, texts)
    else:
        raise ValueError(f"the kind of the tokenizer of {facts.id} is not known")


def _write_wordpiece(folder: Path, texts: Sequence[str], *, lowercase: bool) -> None:
    """A vocab.txt alone: its case is for the loader to know."""
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(lowercase=lowercase)
    tokenizer.train_from_iterator(texts, vocab_size=1500, show_progress=False)
    tokenizer.save_model(str(folder))


def _write_byte_bpe(folder: Path, texts: Sequence[str]) -> None:
    """A vocab.json and merges.txt with RoBERTa's special tokens in their places."""
    from tokenizers import ByteLevelBPETokenizer

    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(texts, vocab_size=1500, special_tokens=special, show_progress=False)
    tokenizer.save_model(str(folder))


_UNIGRAM: dict[str, tuple[str, dict[str, Any]]] = {
    "deberta-v2": (
        "spm.model",
        {"pad_id": 0, "pad_piece": "[PAD]", "bos_id": 1, "bos_piece": "[CLS]", "eos_id": 2, "eos_piece": "[SEP]"}
        | {"unk_id": 3, "unk_piece": "[UNK]", "normalization_rule_name": "nmt_nfkc"},
    ),
    "big_bird": (
        "spiece.model",
        {"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3, "user_defined_symbols": ["[CLS]", "[SEP]", "[MASK]"]}
        | {"normalization_rule_name": "identity"},
    ),
    "xlm-roberta": (
        "sentencepiece.bpe.model",
        {"unk_id": 0, "bos_id": 1, "eos_id": 2, "normalization_rule_name": "nmt_nfkc"},
    ),
}
"""Name of the SentencePiece file of a family, its special tokens and its normalisation."""


def _write_unigram(family: str, folder: Path, texts: Sequence[str]) -> None:
    """A SentencePiece file alone."""
    import io

    import sentencepiece

    name, settings = _UNIGRAM[family]
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=trained,
        model_type="unigram",
        vocab_size=1200,
        hard_vocab_limit=False,
        character_coverage=1.0,
        minloglevel=2,
        **settings,
    )
    (folder / name).write_bytes(trained.getvalue())
