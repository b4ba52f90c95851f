import pytest

from redsm5.words import best_of, counted


@pytest.mark.parametrize(("number", "said"), [(0, "0 seeds"), (1, "1 seed"), (2, "2 seeds")])
def test_counted_is_singular_for_one(number, said):
    assert counted(number, "seed") == said


def test_best_of_takes_the_verb_with_it():
    assert (best_of(1), best_of(3)) == ("The best trial was", "The best 3 trials were")
