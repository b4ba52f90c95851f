"""Options of the pooling: from the token states of a window to one vector. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from redsm5.errors import UserError

if TYPE_CHECKING:
    from redsm5.catalog import EncoderFacts
    from redsm5.modules.pooling_layers import PoolingModule


class Pooling(ABC):
    """How the token states of a window become one vector."""

    @abstractmethod
    def build(self, hidden_size: int) -> PoolingModule:
        """The pooling as a module.

        Args:
            hidden_size: H, the width of the encoder.
        """

    @property
    def layers_read(self) -> int:
        """Of how many of the encoder's last layers it reads the first token."""
        return 1

    @property
    def needs_facts(self) -> bool:
        """Whether it does not go with every encoder."""
        return False

    def misfit(self, facts: EncoderFacts) -> str | None:
        """Why it does not go with an encoder, beginning with the field; None where it does.

        Args:
            facts: The encoder.
        """
        return None


@dataclass(frozen=True)
class CLS(Pooling):
    """The state of the first special token."""

    def build(self, hidden_size: int) -> PoolingModule:
        """The module that takes position 0."""
        from redsm5.modules.pooling_layers import FirstToken

        return FirstToken()


@dataclass(frozen=True)
class Mean(Pooling):
    """The mean of the states of the post's own tokens."""

    def build(self, hidden_size: int) -> PoolingModule:
        """The module that averages the context."""
        from redsm5.modules.pooling_layers import ContextMean

        return ContextMean()


@dataclass(frozen=True)
class Attention(Pooling):
    """A learned weighting of the post's own tokens, by a query per head."""

    heads: Literal[1, 4] = 1
    """Each head weighs the tokens anew, for its share of the state's features"""

    def build(self, hidden_size: int) -> PoolingModule:
        """The module that attends to the context."""
        from redsm5.modules.pooling_layers import ContextAttention

        return ContextAttention(hidden_size, self.heads)

    @property
    def needs_facts(self) -> bool:
        """Several heads do not share out any number of features."""
        return self.heads > 1

    def misfit(self, facts: EncoderFacts) -> str | None:
        """The heads share out the features of a state."""
        if facts.hidden % self.heads == 0:
            return None
        return f"heads is {self.heads}, which does not divide the {facts.hidden} features of {facts.id}; take 1"


@dataclass(frozen=True)
class ScalarMix(Pooling):
    """A learned mix of the first special token's states after the last layers (Peters et al. 2018)."""

    layers: int = 4
    """How many of the last layers are mixed"""

    def __post_init__(self) -> None:
        """Refuse what is no mix."""
        if self.layers < 2:
            raise ValueError(f"layers is {self.layers}; it must be at least 2 (CLS reads the last layer alone)")

    def build(self, hidden_size: int) -> PoolingModule:
        """The module that mixes."""
        from redsm5.modules.pooling_layers import FirstTokenMix

        return FirstTokenMix(self.layers)

    @property
    def layers_read(self) -> int:
        """As many as are mixed."""
        return self.layers

    @property
    def needs_facts(self) -> bool:
        """It depends on how many layers there are."""
        return True

    def misfit(self, facts: EncoderFacts) -> str | None:
        """The encoder has so many layers."""
        if self.layers <= facts.layers:
            return None
        return f"layers is {self.layers}; {facts.id} has {facts.layers} layers, take at most as many"


def refuse_unfit(pooling: Pooling, known: EncoderFacts | None) -> None:
    """Refuse a pooling that does not go with an encoder.

    Args:
        pooling: The pooling.
        known: The encoder; None where it is not known yet.

    Raises:
        UserError: They do not go together; the sentence begins with the key.
    """
    misfit = None if known is None else pooling.misfit(known)
    if misfit is not None:
        raise UserError(f"model.pooling.{misfit}")
