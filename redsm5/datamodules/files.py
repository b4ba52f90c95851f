"""Text and bytes of an input file, or one sentence that says why they cannot be had."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from pathlib import Path

from redsm5.errors import UserError

_WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
"""UTF-32 first: its little-endian mark begins with that of UTF-16."""


MAX_LINE = 64 << 20
"""Bytes of a line; more is no text file."""


def open_file(path: str) -> io.BufferedReader:
    """A file opened for reading; the caller closes it.

    Args:
        path: A file.

    Raises:
        UserError: The file is missing, a directory, unreadable or empty.
    """
    try:
        stream = Path(path).open("rb")  # noqa: SIM115 - handed to the caller
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
    if not stream.peek(1):
        stream.close()
        raise UserError(f"{path} is empty (0 bytes)")
    return stream


def read_bytes(path: str) -> bytes:
    """The bytes of a file.

    Args:
        path: A file.

    Raises:
        UserError: The file is missing, a directory, unreadable or empty.
    """
    with open_file(path) as stream:
        return stream.read()


class TextLines:
    """Lines of UTF-8 text with their ends (LF, CRLF or CR), one at a time.

    Args:
        stream: Bytes; not closed here.
        name: The file in messages.

    Attributes:
        encoding: ``utf-8``, or ``utf-8-sig`` with a byte order mark, which is left out.

    Raises:
        UserError: It is UTF-16 or UTF-32; while it is read, as of ``decode``.
    """

    def __init__(self, stream: io.BufferedReader, name: str) -> None:
        self._stream = stream
        self._name = name
        head = stream.peek(4)[:4]
        _refuse_wide(head, name)
        self.encoding = "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "utf-8"

    def __iter__(self) -> Iterator[str]:
        position = 0
        if self.encoding == "utf-8-sig":
            position = len(self._stream.read(len(codecs.BOM_UTF8)))
        number = 0
        while line := self._stream.readline(MAX_LINE):
            number += 1
            if len(line) == MAX_LINE:
                raise UserError(f"{self._name}, line {number}: longer than {MAX_LINE:,} bytes; this is no text file")
            text = _line_text(line, self._name, position, number)
            position += len(line)
            # A line by its LF may hold several by their CR.
            yield from io.StringIO(text, newline="") if "\r" in text else (text,)


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
    lines = TextLines(io.BufferedReader(io.BytesIO(content)), name)
    return "".join(lines), lines.encoding


def _refuse_wide(head: bytes, name: str) -> None:
    for mark, encoding in _WIDE_MARKS:
        if head.startswith(mark):
            raise UserError(f"{name} is encoded in {encoding}, not UTF-8; convert it: {_convert(encoding, name)}")


def _line_text(line: bytes, name: str, position: int, number: int) -> str:
    """A line as text; ``position`` is its first byte in the file, ``number`` counts lines from 1."""
    nul = line.find(b"\0")
    if nul >= 0:
        raise UserError(
            f"{name}, line {number}: a NUL byte at byte {position + nul}; "
            "the file is damaged or not text, export it again as UTF-8"
        )
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name}, line {number}: byte {position + error.start} (0x{line[error.start]:02x}) is "
            "not UTF-8; "
            f"if the file is Windows-1252, convert it: {_convert('WINDOWS-1252', name)}"
        ) from None


def _convert(encoding: str, name: str) -> str:
    return f"iconv -f {encoding} -t UTF-8 {name} > converted{Path(name).suffix}"
