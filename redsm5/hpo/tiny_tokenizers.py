"""Tokenizers of the three kinds that encoders have, learned from posts."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Kind = Literal["WordPiece", "BPE", "Unigram"]
SIZE = 2000
"""Tokens at most: what a few hundred posts hold."""
OF_ENDS = 300
"""Of them ends of words."""
ENDS = (1, 2, 3, 4)
"""Their lengths."""
SPACE = "\u2581"
"""What stands for a space in Unigram."""


def tiny_tokenizer(kind: Kind, texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer with the special tokens of its kind.

    Args:
        kind: WordPiece as BERT has it, byte-level BPE as RoBERTa, or Unigram as XLM-R; the last two keep case.
        texts: What it is learned from.
    """
    match kind:
        case "WordPiece":
            return _word_piece(texts)
        case "BPE":
            return _byte_level(texts)
        case "Unigram":
            return _unigram(texts)


def _word_piece(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    spelled = [word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())]
    pieces = [*specials, *(piece for piece, _ in _pieces(spelled, begin="", inside="##"))]
    words = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer(lowercase=True)
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.decoder = decoders.WordPiece()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers types it not
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def _byte_level(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    words = Tokenizer(models.BPE(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=list(_ROBERTA),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator(texts, trainer)
    words.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    return _roberta(words)


def _unigram(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    spelled = [word for text in texts for word in text.split()]
    counted = _pieces(spelled, begin=SPACE, inside="")
    total = sum(count for _, count in counted)
    scored = [(piece, math.log(count / total)) for piece, count in counted]
    words = Tokenizer(models.Unigram([*((special, 0.0) for special in _ROBERTA), *scored], unk_id=3))
    words.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\n", " ")])
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    words.decoder = decoders.Metaspace()
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return _roberta(words)


_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def _pieces(words: Sequence[str], *, begin: str, inside: str) -> list[tuple[str, int]]:
    """Pieces with their counts: characters, frequent words and frequent ends of words, in an order that never changes.

    The trainers of the library are no help: what they make of equal counts differs from run to run.

    Args:
        words: As they come.
        begin: Mark of a piece that begins a word.
        inside: Mark of any other.
    """
    counts = Counter(words)
    characters: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for word, count in counts.items():
        for character in word:  # at the beginning of a word or not; counted once, so that whole words are preferred
            characters[begin + character] = characters[inside + character] = 1
        for length in ENDS:
            if len(word) > length:
                ends[inside + word[-length:]] += count
    whole = Counter({begin + word: count for word, count in counts.items() if count > 1 and len(word) > 1})
    found = dict(_frequent(characters, SIZE))
    for pool, most in ((whole, SIZE - OF_ENDS), (ends, SIZE)):
        found |= dict(_frequent(pool, max(0, most - len(found)), known=found))
    return list(found.items())


def _frequent(counts: Counter[str], most: int, known: Collection[str] = ()) -> list[tuple[str, int]]:
    listed = sorted((item for item in counts.items() if item[0] not in known), key=lambda item: (-item[1], item[0]))
    return listed[:most]


def _roberta(words: object) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers types it not
        tokenizer_object=words,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_input_names=["input_ids", "attention_mask"],
    )
