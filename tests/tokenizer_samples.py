"""Folders with tiny trained tokenizers of every kind, in the shapes in which the hub holds them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import sentencepiece
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer

SENTENCE = (
    "I never sleep and the days are grey Nothing helps anymore said Anna in Berlin at office work find fine five "
    "hope tired less friend food 1 2 3 4 5 half ABC abc . , … ! ?"
)
WORDS = SENTENCE.split()
SIZES = {
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    "vocab_size": 400,
    "pad_token_id": 1,
}


def lines() -> list[str]:
    rng = random.Random(0)
    return [" ".join(rng.choices(WORDS, k=12)) for _ in range(400)]


def write_config(folder: Path, **values: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(SIZES | values))


def write_vocab_txt(folder: Path, *, lowercase: bool, config: dict[str, object] | None = None) -> None:
    """A vocab.txt and nothing else, as SpanBERT and BioBERT have it."""
    tokenizer = BertWordPieceTokenizer(lowercase=lowercase)
    tokenizer.train_from_iterator(lines(), vocab_size=200, show_progress=False)
    write_config(folder, **({"model_type": "bert"} if config is None else config))
    tokenizer.save_model(str(folder))


def write_vocab_and_merges(folder: Path) -> None:
    """A vocab.json and merges.txt, as longformer-scico has them."""
    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(lines(), vocab_size=400, special_tokens=special, show_progress=False)
    write_config(folder, model_type="longformer")
    tokenizer.save_model(str(folder))


def write_sentencepiece(
    folder: Path, name: str, model_type: str, *, rule: str = "nmt_nfkc"
) -> sentencepiece.SentencePieceProcessor:
    """A SentencePiece file and nothing else, as DeBERTa-v3 and BigBird have it; returns sentencepiece's own reader."""
    write_config(folder, model_type=model_type)
    text = folder / "text.txt"
    text.write_text("\n".join(lines()))
    unknown = "[UNK]" if model_type == "deberta-v2" else "<unk>"
    special = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "unk_piece": unknown}
    if model_type == "xlm-roberta":
        special = {"unk_id": 0, "bos_id": 1, "eos_id": 2}
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "trained"),
        vocab_size=110,
        hard_vocab_limit=False,
        model_type="unigram",
        normalization_rule_name=rule,
        **special,
        user_defined_symbols=["[CLS]", "[SEP]", "[MASK]"],
        minloglevel=2,
    )
    text.unlink()
    (folder / "trained.vocab").unlink()
    model = (folder / "trained.model").rename(folder / name)
    return sentencepiece.SentencePieceProcessor(model_file=str(model))
