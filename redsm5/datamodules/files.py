"""Text and bytes of an input file, or one sentence that says why they cannot be had."""

from __future__ import annotations

import codecs
from pathlib import Path

from redsm5.errors import UserError

_WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
"""UTF-32 first: its little-endian mark begins with that of UTF-16."""


def read_bytes(path: str) -> bytes:
    """The bytes of a file.

    Args:
        path: A file.

    Raises:
        UserError: The file is missing, a directory, unreadable or empty.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a directory; give a file") from None
    except PermissionError:
        raise UserError(f"{path}: no permission to read it; check its owner and mode (ls -l)") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or type(error).__name__})") from None
    except ValueError:
        raise UserError("a path with a NUL character cannot be opened; check the paths") from None
    if not content:
        raise UserError(f"{path} is empty (0 bytes)")
    return content


def decode(content: bytes, name: str) -> tuple[str, str]:
    """UTF-8 text, with or without a byte order mark, and the name of its encoding.

    Args:
        content: What the file holds.
        name: The file in messages.

    Returns:
        The text, line ends untouched, and ``utf-8`` or ``utf-8-sig``.

    Raises:
        UserError: The bytes are not UTF-8, or hold a NUL; with the byte position and the line.
    """
    for mark, encoding in _WIDE_MARKS:
        if content.startswith(mark):
            raise UserError(f"{name} is encoded in {encoding}, not UTF-8; convert it: {_convert(encoding, name)}")
    nul = content.find(b"\0")
    if nul >= 0:
        raise UserError(
            f"{name}, line {_line(content, nul)}: a NUL byte at byte {nul}; "
            "the file is damaged or not text, export it again as UTF-8"
        )
    marked = content.startswith(codecs.BOM_UTF8)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name}, line {_line(content, error.start)}: byte {error.start} (0x{content[error.start]:02x}) is "
            "not UTF-8; "
            f"if the file is Windows-1252, convert it: {_convert('WINDOWS-1252', name)}"
        ) from None
    return (text[1:], "utf-8-sig") if marked else (text, "utf-8")


def _line(content: bytes, position: int) -> int:
    """1-based line of a byte position."""
    return content.count(b"\n", 0, position) + 1


def _convert(encoding: str, name: str) -> str:
    return f"iconv -f {encoding} -t UTF-8 {name} > converted{Path(name).suffix}"
