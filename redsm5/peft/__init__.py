"""Parameter-efficient fine-tuning on the PEFT library, and freezing. Option classes import no torch."""
