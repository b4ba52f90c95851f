"""Running out of memory, in the words of every allocator."""

from __future__ import annotations

import torch

SAID = (
    "can't allocate memory",  # PyTorch's allocator on a CPU
    "not enough memory",
    "could not create a primitive",  # oneDNN's
    "could not create a memory object",
    "cuda error: out of memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)
"""Parts of messages of RuntimeErrors, in lower case."""

ADVICE = (
    "lower data.batching.train (or train_tokens) and raise trainer.accumulate_grad_batches by as much, lower "
    "data.max_windows or data.max_length, set model.encoder.gradient_checkpointing, or train fewer weights (model.peft)"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory was not enough."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error).lower() for part in SAID)
