import io
import random

import numpy as np
import torch

from redsm5.callbacks.random_state import RandomState


def draws():
    return random.random(), np.random.rand(), np.random.randn(), float(torch.rand(()))


def test_random_state_survives_a_safe_checkpoint():
    random.seed(3)
    np.random.seed(4)
    torch.manual_seed(5)
    draws()
    file = io.BytesIO()
    torch.save(RandomState().state_dict(), file)
    expected = [draws() for _ in range(3)]
    file.seek(0)
    restored = RandomState()
    restored.load_state_dict(torch.load(file, weights_only=True))
    draws()
    restored.on_train_start(None, None)
    assert [draws() for _ in range(3)] == expected
    restored.on_train_start(None, None)  # set once only
    assert draws() not in expected
