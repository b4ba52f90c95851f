"""All methods: importing the base from here makes every variant known to the config. Torch-free."""

from redsm5.peft.bottleneck import Compacter, Houlsby, Pfeiffer
from redsm5.peft.ia3 import IA3
from redsm5.peft.lora import AdaLoRA, LoRA, LoRAPlus
from redsm5.peft.options import PEFT, NoPEFT

__all__ = ["IA3", "PEFT", "AdaLoRA", "Compacter", "Houlsby", "LoRA", "LoRAPlus", "NoPEFT", "Pfeiffer"]

METHODS: tuple[type[PEFT], ...] = (NoPEFT, LoRA, LoRAPlus, AdaLoRA, Pfeiffer, Houlsby, Compacter, IA3)
"""The methods in the order of the documentation; each can be made with its defaults."""
