"""The section `pretraining` of a config: what an encoder is trained on before the fit. Torch-free."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

MaskingStyle = Literal["token", "whole_word", "span"]
Packing = Literal["auto", "packed", "buckets"]
Kind = Literal["dapt", "tapt"]

MOST_EPOCHS: dict[Kind, int] = {"dapt": 3, "tapt": 2}
LARGEST_PROBABILITY = 0.5
LEAST_LENGTH = 16
DAPT_ALONE = ("texts", "text_column", "texts_revision", "dapt_epochs", "dapt_mlm_prob")
"""Fields that only DAPT reads."""
TAPT_ALONE = ("tapt_epochs", "tapt_mlm_prob")
"""Fields that only TAPT reads."""


@dataclass(frozen=True)
class Pretraining:
    """Masked-language modelling before the fit: on texts of the domain (DAPT), then on the training posts (TAPT)."""

    use_dapt: bool = False
    """Train on the texts of the domain first (Gururangan et al. 2020, arXiv:2004.10964)"""
    texts: str | None = None
    """Texts for DAPT: a folder or file (.txt, .csv, .jsonl, .parquet), or the id of a dataset on the hub"""
    text_column: str = "text"
    """Column of the texts in tables"""
    texts_revision: str | None = None
    """Branch, tag or commit of texts on the hub"""
    dapt_epochs: int = 1
    """Epochs of DAPT, 0 to 3; 0 is as without it"""
    dapt_mlm_prob: float = 0.15
    """Share of the tokens that DAPT masks"""
    use_tapt: bool = False
    """Train on the posts of the training part (after DAPT)"""
    tapt_epochs: int = 1
    """Epochs of TAPT, 0 to 2; 0 is as without it"""
    tapt_mlm_prob: float = 0.15
    """Share of the tokens that TAPT masks"""
    masking_style: MaskingStyle = "token"
    """What is masked together: single tokens, whole words, or spans of one to ten words"""
    max_length: int = 256
    """Longest row in tokens, special tokens included"""
    packing: Packing = "auto"
    """Texts joined to full rows that do not see each other, or rows of one text in batches of about one length; auto:
    packed in DAPT where the encoder's family can, buckets elsewhere"""
    batch_tokens: int = 4096
    """Padded tokens of a batch"""
    accumulate: int = 1
    """Batches whose gradients are added up for one optimizer step"""
    lr: float = 1e-4
    """Learning rate of the encoder, after a warmup; with lora_r nothing has it"""
    head_lr: float = 1e-3
    """Learning rate of the masked-LM head"""
    weight_decay: float = 0.01
    """Weight decay of matrices"""
    warmup: float = 0.1
    """Warmup as a share of the first epoch; the rates are constant after it, so that epochs are snapshots of one run"""
    hidden_dropout: float | None = None
    """Dropout of hidden states; the encoder's own if not given"""
    attention_dropout: float | None = None
    """Dropout of attention probabilities; the encoder's own if not given"""
    lora_r: int | None = None
    """Train LoRA of this rank on all linear layers instead of the encoder, and merge it; null trains the encoder"""
    lora_lr: float = 1e-3
    """Learning rate of LoRA"""
    held_out: float = 0.1
    """Share of the texts, whole authors at a time, that the loss is measured on"""
    cache_gb: float = 50.0
    """Limit in GB (10^9 bytes) on all stages in the cache; those longest unused go first, never one a run stands on"""

    def __post_init__(self) -> None:
        """Refuse impossible values, and settings that nothing reads."""
        for kind, most in MOST_EPOCHS.items():
            name = f"{kind}_epochs"
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be between 0 and {most}")
        for name in ("dapt_mlm_prob", "tapt_mlm_prob"):
            if not 0 < getattr(self, name) <= LARGEST_PROBABILITY:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0, at most {LARGEST_PROBABILITY}")
        for name, least in (("max_length", LEAST_LENGTH), ("batch_tokens", 1), ("accumulate", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        for name in ("lr", "head_lr", "weight_decay", "lora_lr"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a finite number of at least 0")
        for name in ("hidden_dropout", "attention_dropout"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 0 and below 1")
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup is {self.warmup}; it must be between 0 and 1")
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}; it must be above 0 and below 1")
        if self.lora_r is not None and self.lora_r < 1:
            raise ValueError(f"lora_r is {self.lora_r}; it must be at least 1, or null")
        if not (math.isfinite(self.cache_gb) and self.cache_gb > 0):
            raise ValueError(f"cache_gb is {self.cache_gb}; it must be a finite number above 0")
        if self.batch_tokens < self.max_length:
            raise ValueError(
                f"batch_tokens is {self.batch_tokens}, less than one row of max_length {self.max_length}; raise it, "
                "and accumulate less"
            )
        self._refuse_unread()

    def _refuse_unread(self) -> None:
        own = {field.name: field.default for field in fields(self)}
        for stage, alone in (("use_dapt", DAPT_ALONE), ("use_tapt", TAPT_ALONE)):
            if not getattr(self, stage):
                self._refuse_set(alone, own, f"{stage} is false")
        if not (self.use_dapt or self.use_tapt):
            shared = own.keys() - {"use_dapt", "use_tapt", "cache_gb", *DAPT_ALONE, *TAPT_ALONE}
            self._refuse_set(tuple(name for name in own if name in shared), own, "use_dapt and use_tapt are false")
        if self.use_dapt and self.texts is None:
            raise ValueError("texts is null, and use_dapt is true: name the texts, or set use_dapt to false")
        if self.lora_r is None:
            self._refuse_set(("lora_lr",), own, "lora_r is null")

    def _refuse_set(self, names: tuple[str, ...], own: dict[str, object], why: str) -> None:
        for name in names:
            if getattr(self, name) != own[name]:
                raise ValueError(f"{name} is {getattr(self, name)}, and {why}, so that nothing reads it: leave it out")

    def epochs(self, kind: Kind) -> int:
        """Epochs of a stage; 0 where it is not to be."""
        if kind == "dapt":
            return self.dapt_epochs if self.use_dapt else 0
        return self.tapt_epochs if self.use_tapt else 0

    def probability(self, kind: Kind) -> float:
        """Share of the tokens that a stage masks."""
        return self.dapt_mlm_prob if kind == "dapt" else self.tapt_mlm_prob

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The stages, in their order."""
        kinds: tuple[Kind, ...] = ("dapt", "tapt")
        return tuple(kind for kind in kinds if self.epochs(kind))
