"""A transformers encoder behind one interface: token ids in, token states out."""

from __future__ import annotations

from typing import Any, cast

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
        return self.last_layers(1, input_ids, attention_mask, token_type_ids, global_mask)[0]

    def last_layers(
        self,
        n: int,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        global_mask: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """The states after each of the last n layers, bottom-up; the others as in ``forward``.

        The last is the last hidden state, as transformers has it: after the final norm where a family has one
        (ModernBERT), which the layers below do not pass through.

        Raises:
            ValueError: L exceeds the context, or n the number of layers.
        """
        length = input_ids.shape[1]
        if length > self.context:
            raise ValueError(f"a window has {length} tokens; this encoder reads at most {self.context}")
        if not 1 <= n <= self._layer_count:
            raise ValueError(f"{n} layers are asked for; this encoder has {self._layer_count}")
        if self.token_types < 2:
            token_type_ids = None
        # Asked for only where they are read: without gradients they would be kept for nothing.
        output = self._run(input_ids, attention_mask, token_type_ids, global_mask, output_hidden_states=n > 1)
        if n == 1:
            return (output[0],)
        # Below the last, what a model pads by itself may still be there.
        return (*(states[:, :length] for states in output.hidden_states[-n:-1]), output[0])

    def _run(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None,
        global_mask: Tensor | None,
        **more: bool,
    ) -> Any:
        """The output of the transformers model."""
        arguments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        return self.model(input_ids=input_ids, attention_mask=attention_mask, **arguments, **more)
