"""Predictions on disk: finished chunks are kept beside the output until all are there; nothing is done twice."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from redsm5.atomic import atomic_file, write_text_atomically
from redsm5.datamodules.corpus import Post
from redsm5.errors import UserError
from redsm5.inference.predictor import Predictor, chunks
from redsm5.run.predictions import prediction_lines

if TYPE_CHECKING:
    import pyarrow as pa


Report = Callable[[int, bool], None]
"""Called after each chunk with its number of posts, and whether an earlier run had predicted it."""


def predict_to_file(predictor: Predictor, posts: Iterable[Post], out: Path, report: Report) -> None:
    """Predict posts into a file that appears whole or not at all.

    Finished chunks lie in ``<out>.partial`` under a hash of model and posts. A run that was interrupted finds them
    again, whatever ended it; another model or other posts do not.

    Args:
        predictor: The model.
        posts: Any number; only a chunk of them is in memory.
        out: ``.jsonl`` or ``.parquet``.
        report: Told of progress.

    Raises:
        UserError: The folder cannot be written to, or the posts cannot be read.
    """
    partial = out.with_name(out.name + ".partial")
    try:
        partial.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {partial}: {error.strerror}; choose another --out") from error
    finished: list[Path] = []
    for chunk in chunks(posts):
        shard = partial / f"{_chunk_hash(predictor.identity, chunk)}.jsonl"
        there = shard.exists()
        if not there:
            write_text_atomically(shard, chunk_lines(predictor, chunk), mode=0o600)
        finished.append(shard)
        report(len(chunk), there)
    try:
        with atomic_file(out, mode=0o600) as file:
            _join(finished, file, parquet=out.suffix == ".parquet")
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}; is there room in its folder?") from error
    shutil.rmtree(partial)


def chunk_lines(predictor: Predictor, posts: Sequence[Post]) -> str:
    """The predictions of a chunk as JSON lines.

    Args:
        predictor: The model.
        posts: The chunk.
    """
    return prediction_lines(predictor.predict_chunk(posts), predictor.codes, predictor.thresholds)


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
