from __future__ import annotations

import os
from functools import partial

import pytest
from child_samples import answer, die, kill

from redsm5.children import ChildDied, in_child


def test_child_returns_its_result_from_another_process():
    value, pid = in_child(partial(answer, value=7))
    assert value == 7
    assert pid != os.getpid()


DEATHS = {
    "killed": (kill, r"was killed \(SIGKILL, most likely for want of memory\) in dying"),
    "aborted": (os.abort, r"was killed \(SIGABRT\) in dying"),
    "left": (partial(os._exit, 3), "ended with exit code 3 in dying"),
}


@pytest.mark.parametrize(("how", "sentence"), DEATHS.values(), ids=DEATHS.keys())
def test_child_that_dies_is_a_sentence(how, sentence):
    with pytest.raises(ChildDied, match=sentence):
        in_child(partial(die, how=how))
