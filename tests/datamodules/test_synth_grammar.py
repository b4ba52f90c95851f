import pytest

from redsm5.datamodules.synth.draw import Draw
from redsm5.datamodules.synth.grammar import contract, expand, inflect
from redsm5.datamodules.synth.phrases import CRITERIA, Person, load_phrases

VERBS = {"am": ("am", "is", "was"), "can't": ("can't", "can't", "couldn't"), "feel": ("feel", "feels", "felt")}
SISTER = Person("my sister", "she", "her", "her", "herself")


@pytest.mark.parametrize(
    ("form", "named", "expected"),
    [
        ("first", False, "I can't sleep and my mood is low, I hate myself, it scares me"),
        ("second", False, "you can't sleep and your mood is low, you hate yourself, it scares you"),
        ("third", True, "my sister can't sleep and her mood is low, she hates herself, it scares her"),
        ("third", False, "she can't sleep and her mood is low, she hates herself, it scares her"),
        ("past", False, "I couldn't sleep and my mood was low, I hated myself, it scared me"),
        ("third_past", False, "she couldn't sleep and her mood was low, she hated herself, it scared her"),
    ],
)
def test_inflect_puts_a_core_into_person_and_tense(form, named, expected):
    core = "@I @can't sleep and @my mood [is|is|was] low, @I [hate|hates|hated] @myself, it [scares|scares|scared] @me"
    assert inflect(core, form, VERBS, SISTER, named=named) == expected


def test_inflect_names_the_person_in_the_possessive():
    assert (
        inflect("@my head @am full, @I say", "third", VERBS, SISTER, named=True) == "my sister's head is full, she say"
    )


def test_inflect_second_person_of_to_be():
    assert inflect("@I @am low", "second", VERBS) == "you are low"


def test_inflect_refuses_an_unknown_verb():
    with pytest.raises(KeyError):
        inflect("@I @fly", "first", VERBS)


def test_expand_fills_slots_of_slots():
    assert expand("{a}!", {"a": ("x {b}",), "b": ("y",)}, Draw("1")) == "x y!"


def test_expand_refuses_an_unknown_slot():
    with pytest.raises(KeyError):
        expand("{nowhere}", {}, Draw("1"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I am tired", "I'm tired"),
        ("how I am", "how I am"),
        ("I have lost it", "I've lost it"),
        ("I have no", "I have no"),
    ],
)
def test_contract_only_where_english_does(text, expected):
    assert contract(text) == expected


@pytest.mark.parametrize("code", CRITERIA)
def test_every_phrase_of_a_criterion_comes_out_whole(code):
    phrases, draw = load_phrases(), Draw(code)
    own = phrases.criteria[code]
    for core in (*own.cores, *own.wells):
        for form in ("first", "second", "third", "past", "third_past"):
            for person in phrases.people[:2]:
                text = expand(inflect(core, form, phrases.verbs, person, named=True), own.slots, draw)
                assert not set("@{}[]|") & set(text), text
                assert (" she " in f" {text} ") <= (form in ("third", "third_past"))
    for template in (*own.negation, *own.idiom):
        assert not set("@{}[]|") & set(expand(template, own.slots, draw))


@pytest.mark.parametrize("code", CRITERIA)
def test_criterion_has_variety(code):
    own = load_phrases().criteria[code]
    assert len(set(own.cores)) == len(own.cores) >= 30
    assert len(own.wells) >= 10
    assert len(own.negation) >= 10
    assert len(own.idiom) >= 10


def test_draw_is_uniform_and_keeps_every_item():
    draw = Draw("x")
    counts = [0] * 5
    for _ in range(5000):
        counts[draw.pick(range(5))] += 1
    assert max(abs(count - 1000) for count in counts) < 150
    assert sorted(draw.shuffled(range(50))) == list(range(50))
    assert {draw.between(2, 4) for _ in range(200)} == {2, 3, 4}
    assert sum(draw.rounded(1.25) for _ in range(4000)) == pytest.approx(5000, rel=0.05)
    assert {draw.weighted("abc", (0, 1, 0)) for _ in range(50)} == {"b"}
