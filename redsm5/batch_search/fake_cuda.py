"""Operations on a CPU with the tensors that they make and keep on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from redsm5.modules.encoder_model import EncoderModel
from redsm5.modules.encoder_sparse import BigBirdEncoder

_FULL_PRECISION = frozenset(
    (
        "layer_norm", "group_norm", "softmax", "_softmax", "log_softmax", "softmin", "softplus", "sum", "prod",
        "cumsum", "cumprod", "pow", "__pow__", "__rpow__", "__rtruediv__", "__rdiv__", "reciprocal", "rsqrt", "exp",
        "expm1", "log", "log2", "log10", "log1p", "norm", "dist", "cdist", "cosine_similarity", "mse_loss", "l1_loss",
        "smooth_l1_loss", "nll_loss", "cross_entropy", "kl_div", "binary_cross_entropy_with_logits", "soft_margin_loss",
    )
)  # fmt: skip
"""What autocast computes in float32 on a GPU: https://docs.pytorch.org/docs/stable/amp.html; on a CPU it does not."""

_HALF = (torch.bfloat16, torch.float16)


class AsOnCuda(TorchFunctionMode):
    """Makes three things on a CPU as they are on a GPU.

    Dropout keeps a mask of one byte a value; autocast computes norms, softmax and losses in float32; attention by
    ``sdpa`` with a mask is memory-efficient attention, which keeps no matrix of probabilities, dropout or not.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function, or what stands for it on a GPU."""
        kwargs = dict(kwargs or {})
        if func is F.dropout:
            return _dropout(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            return _attention(*args, **kwargs)
        if getattr(func, "__name__", None) in _FULL_PRECISION and torch.is_autocast_enabled("cpu"):
            args = [_full(arg) for arg in args]
            kwargs = {name: _full(value) for name, value in kwargs.items()}
        return func(*args, **kwargs)


def _full(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in _HALF else value


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    return torch.native_dropout(input, p, True)[0] if training and p > 0 else input


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """``aten::scaled_dot_product_attention`` for CUDA, the branch of the memory-efficient kernel."""
    if torch.is_autocast_enabled("cpu"):
        half = torch.get_autocast_dtype("cpu")
        query, key, value = (tensor.to(half) for tensor in (query, key, value))
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            # A layer makes its own: transformers hands the mask over as booleans.
            attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill_(~attn_mask, -torch.inf)
        attn_mask = _aligned(attn_mask.to(query.dtype)).expand(*query.shape[:2], -1, -1)
    needs_gradient = torch.is_grad_enabled() and (query.requires_grad or key.requires_grad or value.requires_grad)
    kernel: Callable[..., Any] = torch.ops.aten._scaled_dot_product_efficient_attention
    attended: Tensor = kernel(query, key, value, attn_mask, needs_gradient, dropout_p, is_causal, scale=scale)[0]
    return attended


def _aligned(bias: Tensor) -> Tensor:
    """The bias in rows of a multiple of 16, which the kernel wants: padded, and cut to its length again."""
    length = bias.shape[-1]
    missing = -length % 16
    return F.pad(bias, (0, missing))[..., :length] if missing else bias


def as_on_cuda(encoder: EncoderModel, length: int) -> None:
    """Let an encoder choose on a CPU what it chooses on a GPU, in place, while it runs under ``AsOnCuda``.

    Block-sparse BigBird leaves autocast on a CPU, not on a GPU. What checkpointing recomputes runs in the backward
    pass, in which torch turns modes like ours off.

    Args:
        encoder: The encoder.
        length: L of all windows.
    """
    if isinstance(encoder, BigBirdEncoder) and length > encoder.longest_full:
        encoder.sparse = False  # of the wrapper alone: the model stays as it was built, block-sparse
    for module in encoder.modules():
        checkpoint = getattr(module, "_gradient_checkpointing_func", None)
        if checkpoint is not None:
            settled: Any = partial(checkpoint, context_fn=lambda: (nullcontext(), AsOnCuda()))
            module._gradient_checkpointing_func = settled
