"""Which parameters belong to an adapter, by their names. Torch-free."""

from __future__ import annotations

from typing import Literal


def part_of(name: str) -> Literal["adapter", "lora_b"] | None:
    """The parameter group of what PEFT added: ``lora_b`` for LoRA's B matrices; None for the encoder's own.

    AdaLoRA's P and Q stand side by side: both are ``adapter``.

    Args:
        name: Full name of a parameter.
    """
    parts = name.split(".")
    if "lora_B" in parts and "weight" in parts:  # AdaLoRA's P is lora_B too, but a parameter without a layer
        return "lora_b"
    return "adapter" if any(part.startswith(("lora_", "ia3_", "bottleneck_")) for part in parts) else None


def is_factor(name: str) -> bool:
    """Whether a parameter is a factor of (IA)³: at 1 it changes nothing, so weight decay toward 0 is not for it."""
    return "ia3_l" in name.split(".")
