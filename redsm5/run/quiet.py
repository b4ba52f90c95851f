"""Keeps what libraries say about themselves off the terminal; what concerns the run stays."""

from __future__ import annotations

import logging
import os
import warnings


def quiet_libraries() -> None:
    """Silence tips, device tables and advice that does not apply to our loaders."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
    warnings.filterwarnings("ignore", message=".*number of training batches .* is smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message=r".*module\(s\) in eval mode.*")  # frozen ones, on purpose
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*predict returned None.*")  # predictions are collected, not returned
    warnings.filterwarnings("ignore", message="(?s).*JsonargparseDeprecationWarning.*")
