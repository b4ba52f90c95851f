"""A whole synthetic corpus, and its files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from redsm5.atomic import write_text_atomically
from redsm5.datamodules.synth.draw import Draw
from redsm5.datamodules.synth.marginals import Profile, RowPlan, plan_posts
from redsm5.datamodules.synth.noise import QuoteNoise, draw_style, quote
from redsm5.datamodules.synth.phrases import few, load_phrases
from redsm5.datamodules.synth.posts import Placed, compose
from redsm5.datamodules.synth.sentences import SentenceMaker
from redsm5.datamodules.synthetic import MARK_FILE, mark_synthetic
from redsm5.errors import UserError

POSTS_FILE = "redsm5_posts.csv"
ANNOTATIONS_FILE = "redsm5_annotations.csv"
SPECIAL_CASE = "SPECIAL_CASE"

_QUOTES = {"default": {"none": 80.0, "form": 15.0, "words": 3.5, "rephrased": 1.5}}
_QUOTES["demo"] = {"none": 92.0, "form": 6.0, "words": 1.5, "rephrased": 0.5}
_QUOTES["short"] = _QUOTES["demo"]
_REASONS = {
    "other": "It is about somebody else, not about the writer.",
    "past": "It is over, as the writer says.",
    "negation": "The writer denies it.",
    "idiom": "It is a figure of speech.",
    "hypothetical": "It is imagined, not reported.",
    "quote": "The words are those of a text, not the writer's own.",
    "advice": "It addresses others.",
}


@dataclass(frozen=True, slots=True)
class SynthPost:
    """A row of the posts file."""

    post_id: str
    text: str


@dataclass(frozen=True, slots=True)
class SynthAnnotation:
    """A row of the annotations file; the field names are its columns."""

    post_id: str
    sentence_id: str
    sentence_text: str
    DSM5_symptom: str
    status: Literal[0, 1]
    explanation: str


@dataclass(frozen=True, slots=True)
class SynthCorpus:
    """The rows of both files, in their order."""

    posts: tuple[SynthPost, ...]
    annotations: tuple[SynthAnnotation, ...]


def generate(posts: int, seed: int, profile: Profile = "default") -> SynthCorpus:
    """Make a corpus; the same arguments make the same corpus, to the byte.

    Args:
        posts: Number of posts, at least 1.
        seed: Any integer.
        profile: `default` for the marginals of the real corpus, `demo` for short posts with balanced criteria, `short`
            for posts of some two sentences in few words.

    Returns:
        The rows.

    Raises:
        ValueError: ``posts`` is below 1 or ``profile`` is unknown.
    """
    if posts < 1:
        raise ValueError(f"posts must be at least 1, not {posts}")
    if profile not in get_args(Profile):
        raise ValueError(f"profile must be one of {', '.join(get_args(Profile))}, not {profile!r}")
    draw = Draw(f"redsm5 synth {profile} {posts} {seed}")
    maker = SentenceMaker(few(load_phrases()) if profile == "short" else load_phrases(), draw)
    plans, rows = plan_posts(posts, profile, draw)
    ids = _post_ids([plan.author for plan in plans], draw)
    styles = {author: draw_style(draw) for author in sorted({plan.author for plan in plans})}
    made: list[SynthPost] = []
    annotations: list[SynthAnnotation] = []
    for post_id, plan in zip(ids, plans, strict=True):
        text, placed = compose(plan, maker, styles[plan.author], draw)
        made.append(SynthPost(post_id, text))
        annotations += [_annotate(post_id, item, profile, maker, draw) for item in placed if item.annotated]
    return SynthCorpus(tuple(made), tuple(_repeat_rows(annotations, rows, draw)))


def write(corpus: SynthCorpus, out_dir: str | Path) -> tuple[Path, Path]:
    """Write both files, each whole or not at all, and the one that says that they are synthetic.

    Args:
        corpus: What to write.
        out_dir: The folder; made if missing. Files of an earlier corpus are replaced.

    Returns:
        The paths of the posts and of the annotations.

    Raises:
        UserError: The folder holds other files, is no folder, or cannot be written.
    """
    folder = Path(out_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = sorted({entry.name for entry in folder.iterdir()} - {POSTS_FILE, ANNOTATIONS_FILE, MARK_FILE})
        if others:
            raise UserError(
                f"The folder {folder} holds other files, such as {others[0]}: give an empty or a new folder."
            )
        columns = tuple(SynthAnnotation.__dataclass_fields__)
        rows = ([getattr(row, column) for column in columns] for row in corpus.annotations)
        posts = _write_csv(folder / POSTS_FILE, ("post_id", "text"), ((p.post_id, p.text) for p in corpus.posts))
        annotations = _write_csv(folder / ANNOTATIONS_FILE, columns, rows)
        mark_synthetic(posts)
        return posts, annotations
    except OSError as error:
        raise UserError(
            f"The synthetic corpus cannot be written to {folder} ({error.strerror}): give another folder."
        ) from error


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text_atomically(path, buffer.getvalue())
    return path


def _post_ids(authors: Sequence[int], draw: Draw) -> list[str]:
    """``s_<author>_<n>`` with authors and numbers that jump about, as in the real corpus."""
    count = max(authors) + 1
    numbers = draw.shuffled(range(1, max(3000, 2 * count)))[:count]
    used: set[str] = set()
    ids: list[str] = []
    for author in authors:
        post_id = ""
        while not post_id or post_id in used:
            post_id = f"s_{numbers[author]}_{draw.between(1, 1100 + len(authors))}"
        used.add(post_id)
        ids.append(post_id)
    return ids


def _annotate(post_id: str, placed: Placed, profile: Profile, maker: SentenceMaker, draw: Draw) -> SynthAnnotation:
    sentence = placed.sentence
    shares = _QUOTES[profile]
    noise = draw.weighted(list(shares), list(shares.values()))
    if noise != "rephrased":
        text = quote(placed.text, _as_quote_noise(noise), draw)
    elif sentence.criterion is None:
        text = maker.filler("special").text
    else:
        text = (maker.evidence if sentence.evidence else maker.distractor)(sentence.criterion).text
    return SynthAnnotation(
        post_id=post_id,
        sentence_id=f"{post_id}_{placed.index}",
        sentence_text=text,
        DSM5_symptom=sentence.criterion or SPECIAL_CASE,
        status=1 if sentence.evidence or sentence.criterion is None else 0,
        explanation=_explain(sentence.criterion, sentence.kind, draw),
    )


def _as_quote_noise(noise: str) -> QuoteNoise:
    return "form" if noise == "form" else "words" if noise == "words" else "none"


def _explain(code: str | None, kind: str, draw: Draw) -> str:
    if code is None:
        return "It matters to a clinician but belongs to none of the criteria."
    name = code.replace("_", " ").lower()
    if kind in _REASONS:
        return f"The sentence uses the words of {name}. {_REASONS[kind]}"
    start = draw.pick(("The writer reports", "This sentence shows", "Here the writer tells of"))
    return f"{start} {name} as their own and present."


def _repeat_rows(rows: Sequence[SynthAnnotation], plan: RowPlan, draw: Draw) -> list[SynthAnnotation]:
    """Add duplicates and contradictions, each right behind the row that it repeats."""
    order = draw.shuffled(range(len(rows)))
    positive = [index for index in order if rows[index].status == 1]
    negative = [index for index in order if rows[index].status == 0]
    criteria = [index for index in positive[plan.duplicates_positive :] if rows[index].DSM5_symptom != SPECIAL_CASE]
    twice = {*positive[: plan.duplicates_positive], *negative[: plan.duplicates_negative]}
    contradicted = set(criteria[: plan.conflicts])
    result: list[SynthAnnotation] = []
    for index, row in enumerate(rows):
        result.append(row)
        if index in twice:
            result.append(row)
        if index in contradicted:
            reason = "A second reader does not see the criterion here."
            result.append(replace(row, status=0, explanation=reason))
    return result
