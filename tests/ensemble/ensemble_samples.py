"""Made-up posts, and models that know more or less of them."""

import numpy as np

from redsm5.datamodules.corpus import Span
from redsm5.metrics.records import GoldPost, PredictedPost, ScoredSpan


def made_gold(n, criteria, seed=0, *, share=0.3):
    """Posts of 100 characters by n / 2 authors; each criterion that a post has is evidenced by one span."""
    rng = np.random.default_rng(seed)
    posts = []
    for i in range(n):
        labels = tuple(int(x) for x in rng.random(criteria) < share)
        evidence = tuple((Span(10 * k, 10 * k + 8),) if label else () for k, label in enumerate(labels))
        posts.append(
            GoldPost(
                post_id=f"p{i}",
                author=f"a{i // 2}",
                labels=labels,
                evidence=evidence,
                unaligned=(False,) * criteria,
                hard_negatives=((),) * criteria,
                sentences=tuple(Span(10 * k, 10 * k + 9) for k in range(10)),
                words=tuple(Span(10 * k, 10 * k + 8) for k in range(10)),
            )
        )
    return posts


def made_model(gold, seed, *, noise=1.0, sharpness=2.0, offset=0.0):
    """A model whose logits are right but for noise, and whose spans are right where it says yes."""
    rng = np.random.default_rng(seed)
    predicted = []
    for post in gold:
        logits = sharpness * (2 * np.array(post.labels) - 1) + noise * rng.normal(size=len(post.labels)) + offset
        probabilities = 1 / (1 + np.exp(-logits))
        margins = logits + rng.normal(size=len(logits))
        candidates = tuple((ScoredSpan(10 * k, 10 * k + 8, float(margin)),) for k, margin in enumerate(margins))
        predicted.append(PredictedPost(post.post_id, tuple(float(p) for p in probabilities), candidates))
    return predicted
