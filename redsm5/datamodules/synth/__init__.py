"""A synthetic corpus in the shape of the real one: for trying, testing and showing the code, not for results."""

from redsm5.datamodules.synth.corpus import SynthCorpus, generate, write

__all__ = ["SynthCorpus", "generate", "write"]
