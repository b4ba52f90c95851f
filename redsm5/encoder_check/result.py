"""What came of the check of one encoder. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from redsm5.catalog import EncoderFacts

FORMATS = ("MultiLabel", "BinaryPairs")
"""Names of the formats, as in ``data.format``, that an encoder is trained in."""


@dataclass(frozen=True)
class CheckResult:
    """What came of the check of one encoder.

    Attributes:
        id: Hub id.
        family: transformers' ``model_type``.
        tokenizer: Kind of its tokenizer and whether it keeps case.
        parameters: Millions of parameters of the encoder as it is trained, without a pooler; None if it was not built.
        formats: Formats that passed.
        seconds: Time that its process took.
        cpu_seconds: Computing time of its process, all cores together; None if the process died.
        memory_gb: Most memory that its process held, in 10^9 bytes; None if the process died.
        failure: What failed, as a sentence; None if all passed.
        traceback: Of an error that is no sentence of ours.
    """

    id: str
    family: str
    tokenizer: str
    parameters: float | None = None
    formats: tuple[str, ...] = ()
    seconds: float = 0.0
    cpu_seconds: float | None = None
    memory_gb: float | None = None
    failure: str | None = None
    traceback: str | None = None

    @property
    def passed(self) -> bool:
        """Whether everything passed."""
        return self.failure is None


def tokenizer_kind(facts: EncoderFacts) -> str:
    """The kind of an encoder's tokenizer, in words."""
    return f"{facts.tokenizer}, {'cased' if facts.cased else 'lower case'}"
