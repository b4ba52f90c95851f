"""What the posts of a profile hold, before any text is made: lengths, criteria, hard negatives, authors."""

from __future__ import annotations

import math
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Literal

from redsm5.datamodules.synth.draw import Draw
from redsm5.datamodules.synth.phrases import CRITERIA

Profile = Literal["default", "demo", "short"]
"""`default` follows the real corpus; `demo` has short posts and balanced criteria; `short` the same with some two
sentences a post, for searches on a CPU."""

REAL_POSTS = 1484
REAL_WITHOUT = 392
"""Posts without a symptom."""
REAL_POSITIVE_POSTS = dict(zip(CRITERIA, (328, 124, 44, 102, 35, 124, 311, 59, 165), strict=True))
REAL_PER_PAIR = 1.13
"""Evidence sentences per (post, symptom)."""
REAL_POSITIVE_ROWS = 1631
REAL_NEGATIVE_ROWS = 427
REAL_SPECIAL_ROWS = 92
REAL_DUPLICATE_ROWS = 84
REAL_LONGEST = 6990
CONFLICTS = 12
"""Sentences with both statuses for one criterion per `REAL_POSTS`: the real number is unknown, this one is ours."""
RAREST_LEAST = 6
"""Least posts of a criterion from 200 posts on, by as many authors, so that a 70/15/15 split has it in every part."""

_MEDIAN, _SIGMA = 186.0, 0.95
_TAIL_FROM = 0.97
_TINY_SHARE = 0.012


@dataclass(frozen=True, slots=True)
class _Balanced:
    """Posts with balanced criteria.

    Attributes:
        words: Least and greatest length to reach, in words.
        longest: Words of a sentence; None: any.
        share: Of the posts that have evidence of a criterion, for each.
        without: Share of the posts without evidence.
        most: Criteria of one post.
        same: How often a distractor of the same criterion stands beside evidence: else the words alone give it away.
        others: Distractors of any criterion, by the number of criteria with evidence.
    """

    words: tuple[int, int]
    longest: int | None
    share: float
    without: float
    most: int
    same: float
    others: tuple[float, ...]


_BALANCED = {
    "demo": _Balanced((30, 58), None, share=0.15, without=0.2, most=3, same=0.6, others=(2.7, 1.5, 0.8, 0.0)),
    "short": _Balanced((4, 8), 10, share=0.12, without=0.15, most=2, same=0.1, others=(1.0, 0.1, 0.0)),
}


@dataclass(slots=True)
class PostPlan:
    """What one post will hold.

    Attributes:
        words: Length to reach, in words.
        longest: Words of a sentence, as far as a few draws find one; None: any.
        author: Number of the author, from 0.
        evidence: Evidence sentences by criterion.
        hard_negatives: Criteria of the sentences that are annotated with status 0.
        distractors: Criteria of the sentences that share their words and are not annotated.
        special: Sentences of SPECIAL_CASE rows.
    """

    words: int
    longest: int | None = None
    author: int = 0
    evidence: Counter[str] = field(default_factory=Counter)
    hard_negatives: list[str] = field(default_factory=list)
    distractors: list[str] = field(default_factory=list)
    special: int = 0


@dataclass(frozen=True, slots=True)
class RowPlan:
    """Rows that repeat others: of status 1, of status 0, and evidence rows that another row contradicts."""

    duplicates_positive: int
    duplicates_negative: int
    conflicts: int


def plan_posts(posts: int, profile: Profile, draw: Draw) -> tuple[list[PostPlan], RowPlan]:
    """Plan the posts of a corpus.

    Args:
        posts: Number of posts.
        profile: Which marginals.
        draw: What chooses.

    Returns:
        A plan per post, and of the rows that repeat others.
    """
    plans, rows = (
        _plan_default(posts, draw) if profile == "default" else _plan_balanced(posts, _BALANCED[profile], draw)
    )
    _assign_authors(plans, 0.55 if profile == "default" else 0.7, draw)
    return plans, rows


def _plan_default(posts: int, draw: Draw) -> tuple[list[PostPlan], RowPlan]:
    scale = posts / REAL_POSTS
    plans = [PostPlan(words) for words in draw.shuffled(_lengths(posts))]
    roomy = [plan for plan in plans if plan.words >= 12]
    least = RAREST_LEAST if posts >= 200 else int(posts >= 50)
    counts = {code: max(least, round(count * scale)) for code, count in REAL_POSITIVE_POSTS.items()}
    with_symptom = min(len(roomy), posts - round(REAL_WITHOUT * scale))
    _assign_criteria(draw.shuffled(roomy)[:with_symptom], counts, len(CRITERIA), draw)

    pairs = [(plan, code) for plan in plans for code in plan.evidence]
    extra = round(len(pairs) * (REAL_PER_PAIR - 1))
    for plan, code in draw.shuffled([pair for pair in pairs if pair[0].words >= 60])[:extra]:
        plan.evidence[code] += 1

    rows = RowPlan(
        duplicates_positive=round(
            (REAL_POSITIVE_ROWS - REAL_SPECIAL_ROWS) * scale - REAL_PER_PAIR * sum(REAL_POSITIVE_POSTS.values()) * scale
        ),
        duplicates_negative=round(5 * scale),
        conflicts=round(CONFLICTS * scale),
    )
    hard = round(REAL_NEGATIVE_ROWS * scale) - rows.duplicates_negative - rows.conflicts
    _assign_hard_negatives(plans, hard, draw)
    for plan in draw.shuffled(roomy)[: round(REAL_SPECIAL_ROWS * scale)]:
        plan.special = 1
    for plan in plans:
        count = min(draw.rounded(plan.words / 160), 40) if plan.words >= 40 else 0
        plan.distractors = [_distractor_code(plan, list(REAL_POSITIVE_POSTS.values()), 0.4, draw) for _ in range(count)]
    return plans, rows


def _plan_balanced(posts: int, of: _Balanced, draw: Draw) -> tuple[list[PostPlan], RowPlan]:
    plans = [PostPlan(draw.between(*of.words), of.longest) for _ in range(posts)]
    counts = dict.fromkeys(CRITERIA, round(of.share * posts))
    chosen = draw.shuffled(plans)[: posts - round(of.without * posts)]
    _assign_criteria(chosen, counts, of.most, draw)
    for plan in plans:
        same = [code for code in plan.evidence if draw.chance(of.same)]
        others = draw.rounded(of.others[len(plan.evidence)])
        codes = [*same, *(draw.pick(CRITERIA) for _ in range(others))]
        for code in codes:
            (plan.hard_negatives if draw.chance(0.5) else plan.distractors).append(code)
    rows = RowPlan(round(posts * 0.02), round(posts * 0.005), round(posts * 0.005))
    return plans, rows


def _lengths(posts: int) -> list[int]:
    """Lengths in words: a lognormal body, a Pareto tail from its 97th percentile on, and a few posts of 2 to 10 words.

    They are the quantiles at (i + 0.5) / posts, so that the marginals hold for any seed.
    """
    normal = NormalDist()
    knee = _MEDIAN * math.exp(_SIGMA * normal.inv_cdf(_TAIL_FROM))
    # The exponent that puts the quantile of the longest of the real number of posts at the real maximum.
    exponent = math.log((1 - _TAIL_FROM) / (0.5 / REAL_POSTS)) / math.log(REAL_LONGEST / knee)
    lengths = []
    for index in range(posts):
        quantile = (index + 0.5) / posts
        if quantile < _TINY_SHARE:
            length = 2 + 8 * quantile / _TINY_SHARE
        elif quantile < _TAIL_FROM:
            length = _MEDIAN * math.exp(_SIGMA * normal.inv_cdf(quantile))
        else:
            length = knee * ((1 - _TAIL_FROM) / (1 - quantile)) ** (1 / exponent)
        lengths.append(min(round(length), REAL_LONGEST))
    return lengths


def _assign_criteria(plans: Sequence[PostPlan], counts: dict[str, int], most: int, draw: Draw) -> None:
    """Give every plan a criterion as far as they go round, then the rest to plans that have fewer than ``most``."""
    tickets = draw.shuffled([code for code, count in counts.items() for _ in range(min(count, len(plans)))])
    for plan, code in zip(plans, tickets, strict=False):
        plan.evidence[code] = 1
    for code in tickets[len(plans) :]:
        open_plans = [plan for plan in plans if code not in plan.evidence and len(plan.evidence) < most]
        if open_plans:
            draw.pick(open_plans).evidence[code] = 1


def _assign_hard_negatives(plans: Sequence[PostPlan], count: int, draw: Draw) -> None:
    weights = list(REAL_POSITIVE_POSTS.values())
    roomy = [plan for plan in plans if plan.words >= 40] or list(plans)
    for _ in range(max(count, 0)):
        plan = draw.pick(roomy)
        plan.hard_negatives.append(_distractor_code(plan, weights, 0.5, draw))


def _distractor_code(plan: PostPlan, weights: Sequence[float], same: float, draw: Draw) -> str:
    """A criterion for a distractor: with probability ``same`` one that the post has evidence of."""
    if plan.evidence and draw.chance(same):
        return draw.pick(sorted(plan.evidence))
    return draw.weighted(CRITERIA, weights)


def _assign_authors(plans: Sequence[PostPlan], share: float, draw: Draw) -> None:
    """Authors who recur; the posts of a rare criterion get different ones, or a split could not spread them."""
    authors = max(1, round(share * len(plans)))
    running, total = [], 0.0
    for rank in range(authors):
        total += (rank + 8) ** -0.6
        running.append(total)
    for plan in plans:
        plan.author = bisect(running, draw.unit() * total)
    for code in CRITERIA:
        having = [plan for plan in plans if code in plan.evidence]
        if len(having) < 4 * RAREST_LEAST:
            seen: set[int] = set()
            for plan in having:
                if plan.author in seen:
                    plan.author, authors = authors, authors + 1
                seen.add(plan.author)
