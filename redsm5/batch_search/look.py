"""How large the examples of a config are: by its corpus where there is one, by what is known of ReDSM5 otherwise."""

from __future__ import annotations

from functools import partial

from jsonargparse import Namespace

from redsm5.batch_search.units import LONGEST_POST, MOST_EVAL_EXAMPLES, MOST_EXAMPLES, MOST_SHARE, Shape
from redsm5.children import ChildDied, Tell, in_child
from redsm5.errors import UserError


def shape_of(args: tuple[str, ...], config: Namespace) -> Shape:
    """Shape of the examples of a config.

    Args:
        args: Config options, as on the command line; with a corpus or without.
        config: The same, parsed.

    Raises:
        UserError: The corpus or the tokenizer is not usable.
    """
    data = config.data
    found: tuple[int, ...]
    most = MOST_EXAMPLES
    if data.path is None and data.posts is None:
        room = max(data.max_length - 16, data.stride + 1)
        found = (1 + -(-max(LONGEST_POST - room, 0) // (room - data.stride)),) * MOST_EVAL_EXAMPLES
    else:
        try:
            outcome = in_child(partial(_sizes, args))
        except ChildDied as error:
            raise UserError(f"the corpus could not be read: {error}; redsm5 data check says more") from error
        if isinstance(outcome, UserError):
            raise outcome
        sizes, examples = outcome
        found = tuple(sorted(sizes, reverse=True))
        most = max(1, min(MOST_EXAMPLES, int(examples * MOST_SHARE)))
    return Shape(
        train=min(found[0], data.max_windows or found[0]),
        evaluation=found,
        max_length=data.max_length,
        by_tokens=data.batching.class_path.endswith(".TokenBudget"),
        most=most,
    )


def _sizes(args: tuple[str, ...], tell: Tell) -> tuple[list[int], int] | UserError:
    """See ``example_sizes``; in a process of its own, since it loads the corpus."""
    from redsm5.run.lightning_cli import make_cli

    tell("reading the corpus")
    try:
        # How large examples are does not depend on the device, which need not be here.
        here = ("--runtime.precision=none", "--trainer.accelerator=cpu")
        data = make_cli([*args, *here], command="tune-batch").datamodule
        data.setup()
        return data.example_sizes()
    except UserError as error:
        return error
