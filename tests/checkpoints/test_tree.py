import json
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from redsm5.checkpoints.tree import from_json, to_json

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
keys = st.text() | st.integers() | st.sampled_from(["$tensor", "$tuple", "$items"]) | st.tuples(st.integers())
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


def same(a, b):
    """Equal in values and in types, order of keys included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def back(tree):
    node, tensors = to_json(tree)
    return from_json(json.loads(json.dumps(node)), tensors)


@given(trees)
def test_tree_comes_back_as_it_was(tree):
    assert same(back(tree), tree)


def test_tree_comes_back_with_its_tensors_where_they_were():
    tensor = torch.arange(6.0).reshape(2, 3)
    tree = {"a": [tensor, (tensor[0], 1.5)], 3: {"state": torch.tensor(7)}, "rng": random.Random(0).getstate()}
    assert same(back(tree), tree)


def test_tensor_in_several_places_is_stored_once():
    tensor = torch.ones(3)
    _, tensors = to_json({"a": tensor, "b": {"c": tensor}, "other": torch.ones(3)})
    assert sorted(tensors) == ["a", "other"]


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinite_numbers_come_back(value):
    assert back({"x": value}) == {"x": value}


class Evil:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize("value", [Evil(), b"bytes", {1, 2}, print, complex(1)])
def test_what_is_no_plain_data_is_refused_with_its_place(value):
    with pytest.raises(TypeError, match=r"cannot hold \w+ \(callbacks/mine/1\)"):
        to_json({"callbacks": {"mine": [0, value]}})
