"""A transformers encoder behind one interface: token ids in, token states out."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from redsm5.catalog import facts_of_config


class EncoderModel(nn.Module):
    """Token states of windows of tokens.

    Args:
        model: A bare transformers encoder.

    Attributes:
        hidden_size: H, width of the token states.
        context: Longest window in tokens, special tokens included.
        vocabulary: Rows of the embedding table.
        token_types: Rows of the token type table; below 2 token types are ignored.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        known = facts_of_config(type(model).__name__, self.config.to_dict())
        self.hidden_size: int = known.hidden
        self.context: int = known.context
        self.vocabulary: int = cast(nn.Embedding, model.get_input_embeddings()).num_embeddings
        self.token_types: int = known.token_types
        self._layer_count = known.layers

    @property
    def config(self) -> PreTrainedConfig:
        """The config of the transformers model."""
        return self.model.config

    @property
    def embeddings(self) -> nn.Module:
        """What stands before the first layer."""
        return cast(nn.Module, getattr(self.model, "embeddings", None) or self.model.get_input_embeddings())

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer layers, bottom-up."""
        for module in self.model.modules():
            if isinstance(module, nn.ModuleList) and len(module) == self._layer_count:
                return module
        raise AttributeError(f"{type(self.model).__name__} has no list of {self._layer_count} layers")

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        global_mask: Tensor | None = None,
    ) -> Tensor:
        """The last hidden state.

        Args:
            input_ids: int64 [W, L].
            attention_mask: int64 [W, L], 1 for tokens, 0 for padding.
            token_type_ids: int64 [W, L]; ignored by an encoder with a single type.
            global_mask: bool [W, L], tokens that attend to and are seen by the whole window; only Longformer has them.

        Returns:
            [W, L, H], in the precision it was computed in; rows of padding hold no meaning.

        Raises:
            ValueError: L exceeds the context.
        """
        length = input_ids.shape[1]
        if length > self.context:
            raise ValueError(f"a window has {length} tokens; this encoder reads at most {self.context}")
        if self.token_types < 2:
            token_type_ids = None
        return self._states(input_ids, attention_mask, token_type_ids, global_mask)

    def _states(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None, global_mask: Tensor | None
    ) -> Tensor:
        arguments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        return cast(Tensor, self.model(input_ids=input_ids, attention_mask=attention_mask, **arguments)[0])
