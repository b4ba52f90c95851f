"""Predictions on disk: finished work is kept beside the output until all is there; nothing is done twice."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from redsm5.atomic import atomic_file, write_text_atomically
from redsm5.datamodules.corpus import Post
from redsm5.errors import UserError
from redsm5.inference.partial import already_there, partial_folder
from redsm5.inference.predictor import Predictor, chunks
from redsm5.run.lock import LOCK, Writes, run_lock
from redsm5.run.predictions import prediction_lines

if TYPE_CHECKING:
    import pyarrow as pa

SAVE_SECONDS = 30.0
"""Within a chunk, what is predicted is saved this often: an interruption loses no more, and the group at work."""
Report = Callable[[int, bool], None]
"""Called with a number of posts that are done, and whether an earlier run had predicted them."""


def predict_to_file(
    predictor: Predictor, posts: Iterable[Post], out: Path, report: Report, *, overwrite: bool = False
) -> None:
    """Predict posts into a file that appears whole or not at all.

    Finished chunks lie in ``<out>.partial`` under a hash of model and posts, the one at work as far as it was when it
    was last saved. A run that was interrupted finds them again, whatever ended it; another model or other posts do not.

    Args:
        predictor: The model.
        posts: Any number; only a chunk of them is in memory.
        out: ``.jsonl`` or ``.parquet``.
        report: Told of progress.
        overwrite: Replace ``out`` where it is there. Without, it is replaced only by a run that had begun these
            predictions before: one that died between the last two steps.

    Raises:
        UserError: The file is there, another process writes it, it cannot be written, or the posts cannot be read.
    """
    partial = partial_folder(out)
    try:
        partial.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        raise UserError(f"cannot write {out}: {partial} is a file; remove it, or choose another --out") from None
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}; choose another --out") from error
    try:
        with run_lock(partial, writes=Writes(str(out), f"of redsm5 predict is writing {out}", "--out")):
            finished: list[Path] = []
            for chunk in chunks(posts):
                shard = partial / f"{_chunk_hash(predictor.identity, chunk)}.jsonl"
                if not finished and out.exists() and not overwrite and not (shard.exists() or _begun(shard).exists()):
                    raise already_there(out)
                if shard.exists():
                    report(len(chunk), True)
                else:
                    write_text_atomically(shard, _resumed_lines(predictor, chunk, _begun(shard), report), mode=0o600)
                    _begun(shard).unlink(missing_ok=True)
                finished.append(shard)
            try:
                with atomic_file(out, mode=0o600) as file:
                    _join(finished, file, parquet=out.suffix == ".parquet")
            except OSError as error:
                raise UserError(f"cannot write {out}: {error.strerror}; is there room in its folder?") from error
            for path in partial.iterdir():
                if path.name != LOCK:
                    path.unlink()
    finally:
        with suppress(OSError):  # it holds what is finished, or the lock of the next predict
            partial.rmdir()


def chunk_lines(predictor: Predictor, posts: Sequence[Post], report: Report = lambda posts, reused: None) -> str:
    """The predictions of a chunk as JSON lines.

    Args:
        predictor: The model.
        posts: The chunk.
        report: Told of progress.
    """
    lines = [""] * len(posts)
    for group in _groups(predictor, posts, range(len(posts))):
        for i, text in zip(group, _lines(predictor, [posts[i] for i in group]), strict=True):
            lines[i] = text
        report(len(group), False)
    return "".join(lines)


def _resumed_lines(predictor: Predictor, posts: Sequence[Post], begun: Path, report: Report) -> str:
    """As ``chunk_lines``, saved from time to time, and from where an earlier run saved it last."""
    lines = _read_begun(begun, len(posts))
    if lines:
        report(len(lines), True)
    saved = time.monotonic()
    for group in _groups(predictor, posts, [i for i in range(len(posts)) if i not in lines]):
        lines.update(zip(group, _lines(predictor, [posts[i] for i in group]), strict=True))
        report(len(group), False)
        if len(lines) < len(posts) and time.monotonic() - saved >= SAVE_SECONDS:
            write_text_atomically(begun, json.dumps(lines), mode=0o600)
            saved = time.monotonic()
    return "".join(lines[i] for i in range(len(posts)))


def _groups(predictor: Predictor, posts: Sequence[Post], todo: Iterable[int]) -> Iterator[list[int]]:
    """Places of posts that are predicted together: like lengths, some batches at a time, the longest first.

    Groups depend on posts and model alone: a run gives the same bytes however often it is interrupted.
    """
    group: list[int] = []
    characters = 0
    for i in sorted(todo, key=lambda i: (-len(posts[i].text), i)):
        group.append(i)
        characters += len(posts[i].text)
        if characters >= predictor.group_characters:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _lines(predictor: Predictor, posts: Sequence[Post]) -> list[str]:
    """The JSON lines of each post."""
    predicted = predictor.predict_chunk(posts)
    return [prediction_lines([post], predictor.codes, predictor.thresholds) for post in predicted]


def _begun(shard: Path) -> Path:
    """Where a chunk is that is not done."""
    return shard.with_suffix(".begun.json")


def _read_begun(path: Path, posts: int) -> dict[int, str]:
    """The lines that an earlier run has saved, by the place of the post in the chunk; none where they are damaged."""
    try:
        lines = {int(i): str(text) for i, text in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        return {}
    return lines if all(0 <= i < posts for i in lines) else {}


def _chunk_hash(identity: str, posts: Sequence[Post]) -> str:
    digest = hashlib.sha256(identity.encode("ascii"))
    for post in posts:
        digest.update(json.dumps([post.id, post.text]).encode("ascii"))
    return digest.hexdigest()


def _join(shards: Sequence[Path], file: IO[bytes], *, parquet: bool) -> None:
    if not parquet:
        for shard in shards:
            with shard.open("rb") as lines:
                shutil.copyfileobj(lines, file)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    with pq.ParquetWriter(file, schema) as writer:
        for shard in shards:
            rows: list[dict[str, Any]] = [json.loads(line) for line in shard.read_text(encoding="utf-8").splitlines()]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _schema() -> pa.Schema:
    """The columns of the JSON lines, typed."""
    import pyarrow as pa

    span = pa.struct([("start", pa.int64()), ("end", pa.int64()), ("score", pa.float64())])
    return pa.schema(
        [
            ("post_id", pa.string()),
            ("criterion", pa.string()),
            ("probability", pa.float64()),
            ("threshold", pa.float64()),
            ("decision", pa.bool_()),
            ("spans", pa.list_(span)),
        ]
    )
