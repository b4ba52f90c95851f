"""Tracebacks for logs."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

from redsm5.masking import masked, without_known_posts, without_posts


def traceback_of(error: BaseException) -> str:
    """The traceback of an exception and of those that led to it, without secrets and without text of posts.

    Exceptions of libraries may quote what they stumbled over: their messages lose what is quoted and longer than a
    name.
    """
    parts = []
    seen: set[int] = set()
    following: BaseException | None = error
    link = ""
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        frames = without_known_posts("".join(traceback.format_tb(following.__traceback__)))
        said = without_posts("\n".join([str(following), *getattr(following, "__notes__", [])]))
        name = type(following).__qualname__
        parts.append(f"Traceback (most recent call last):\n{frames}{name}: {said}".rstrip() + f"\n{link}")
        if following.__cause__ is not None:
            following, link = following.__cause__, "\nwhich caused:\n\n"
        else:
            following = None if following.__suppress_context__ else following.__context__
            link = "\nduring whose handling came:\n\n"
    return masked("".join(reversed(parts)))


def place_of(error: BaseException) -> str:
    """Where in our code it was raised, ``file.py:17``: its message may hold text of posts, and so is not told."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "an unknown place"
    ours = [frame for frame in frames if f"{os.sep}redsm5{os.sep}" in frame.filename]
    last = ours[-1] if ours else frames[-1]
    return f"{Path(last.filename).name}:{last.lineno}"
