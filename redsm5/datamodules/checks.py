"""Settings of the data that cannot work together, refused before anything is read."""

from __future__ import annotations

import math


def check_source(path: str | None, posts: str | None, annotations: str | None) -> None:
    """See that a corpus is named, in one way.

    Raises:
        ValueError: It is not.
    """
    if path is None and posts is None and annotations is None:
        raise ValueError("data.path is missing; give a folder or a dataset id, or data.posts and data.annotations")
    if path is None and annotations is None:
        raise ValueError("data.annotations is missing; it goes with data.posts")
    if path is None and posts is None:
        raise ValueError("data.posts is missing; it goes with data.annotations")


def check_split(
    split_file: str | None,
    fractions: tuple[float, float, float],
    split_seed: int,
    folds: int | None,
    fold: int | None,
) -> None:
    """See that one kind of split is asked for, and that it is possible.

    Raises:
        ValueError: It is not.
    """
    if split_file is not None and (folds is not None or fold is not None):
        raise ValueError("data.split_file and data.folds are both set; a split comes from a file or from folds")
    if fold is not None and folds is None:
        raise ValueError(f"data.fold is {fold}, but data.folds is not set; give the number of folds")
    if folds is not None and folds < 3:
        raise ValueError(f"data.folds is {folds}; accepted are 3 or more, since one is tested and one validates")
    if folds is not None and fold is None:
        raise ValueError(f"data.folds is {folds}, but data.fold is not set; give the one to test, 0 to {folds - 1}")
    if folds is not None and fold is not None and not 0 <= fold < folds:
        raise ValueError(f"data.fold is {fold}; with data.folds {folds}, accepted are 0 to {folds - 1}")
    if len(fractions) != 3 or not all(share > 0 for share in fractions) or not math.isclose(sum(fractions), 1.0):
        shares = ", ".join(f"{share:g}" for share in fractions)
        raise ValueError(f"data.fractions is [{shares}]; accepted are three numbers above 0 that sum to 1")
    at_least("split_seed", split_seed, 0)


def check_windows(max_length: int, stride: int, max_windows: int | None) -> None:
    """See that windows move on.

    Raises:
        ValueError: They do not.
    """
    at_least("max_length", max_length, 1)
    at_least("stride", stride, 0)
    if stride >= max_length:
        raise ValueError(f"data.stride is {stride}; accepted are 0 to below data.max_length, which is {max_length}")
    if max_windows is not None:
        at_least("max_windows", max_windows, 1)


def check_token_dropout(share: float) -> None:
    """See that some tokens are left.

    Raises:
        ValueError: They are not.
    """
    if not 0 <= share < 1:
        raise ValueError(f"data.token_dropout is {share}; accepted are 0 to below 1")


def check_fuzzy(cutoff: float, margin: float) -> None:
    """See that the limits of fuzzy alignment are scores.

    Raises:
        ValueError: They are not.
    """
    for name, value in (("fuzzy_cutoff", cutoff), ("fuzzy_margin", margin)):
        if not 0 <= value <= 100:
            raise ValueError(f"data.{name} is {value}; accepted are 0 to 100")


def at_least(name: str, value: int, least: int) -> None:
    """See that a setting is not below its least value.

    Raises:
        ValueError: It is.
    """
    if value < least:
        raise ValueError(f"data.{name} is {value}; accepted are whole numbers of at least {least}")
