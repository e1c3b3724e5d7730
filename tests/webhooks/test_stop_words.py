"""Who writes STOP is heard; who writes a sentence is read by a person."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.webhooks.stop_words import LONGEST, opt_intent

KEYWORDS = (
    "STOP STOPALL UNSUBSCRIBE CANCEL END QUIT REVOKE OPTOUT ARRET ARRÊT TD Arrêtez Désabonner"
).split()
RESUMING = "START UNSTOP REPRENDRE Réabonner".split()
# Nothing that joins its neighbours, or is a word of its own.
DECORATION = st.text(
    " \t\n.,;:!?\"'«»“”‘’()[]…-–—*_~🛑✋🙏🏽❌👩🏽\u200d💻️\u00a0\u200b\u202e", max_size=8
)


@pytest.mark.parametrize("word", KEYWORDS)
def test_each_keyword_is_an_opt_out(word):
    assert opt_intent(word) == "opt_out"


@pytest.mark.parametrize("word", RESUMING)
def test_each_keyword_of_return_is_an_opt_in(word):
    assert opt_intent(word) == "opt_in"


@given(
    st.sampled_from(KEYWORDS + RESUMING),
    st.sampled_from([str.lower, str.upper, str.title, str.swapcase]),
    st.sampled_from(["NFC", "NFD"]),
    DECORATION,
    DECORATION,
    st.integers(1, 4),
)
def test_case_accents_punctuation_emoji_and_repetition_do_not_count(
    word, case, form, before, after, times
):
    written = unicodedata.normalize(form, case(word))
    said = before + " ".join([written] * times) + after
    assert opt_intent(said) == opt_intent(word) != None  # noqa: E711 - both at once


@pytest.mark.parametrize(
    "text",
    [
        "« STOP »",
        '"Arrêtez" !',
        "Arrêtez !!!",
        "stop?",
        "S.T.O.P",
        "s t o p",
        "ST\u200bOP",
        "ＳＴＯＰ",
        "Stop, merci",
        "Bonjour, arrêtez s'il vous plaît.",
        "Bonjour madame, stop svp merci d’avance 🙏",
        "opt-out",
        "STOP PUB",
        "Stop promotions",
        "Désabonnez-moi s’il te plaît",
        "Ne m'écrivez plus !",
        "Je souhaite me désabonner.",
        "Merci de me désabonner svp",
        "stop stop STOP",
        "stop tout, stop tout",
        "🛑 STOP 🛑",
        "\u202eSTOP\u202c",
    ],
)
def test_whoever_plainly_asks_to_stop_is_heard(text):
    assert opt_intent(text) == "opt_out"


@pytest.mark.parametrize(
    "text",
    [
        "stop ou encore ?",
        "n'arrêtez pas",
        "N’arrêtez surtout pas !",
        "ne m'arrêtez plus",
        "Je vous paie à l'arrêt de bus",
        "Le colis est au stop",
        "Stop, je vous ai payé hier",
        "stoppez",
        "non stop",
        "stop and start",
        "start stop",
        "quit claim",
        "The end.",
        "annuler",
        "Annulez le rendez-vous",
        "oui",
        "YES",
        "non",
        "fin",
        "merci",
        "Bonjour",
        "s'il vous plaît",
        "stop 3 jours",
        "TD2",
        "",
        "   ",
        "🛑",
        "?!",
        "stopstop",
        "arrêt maladie",
        "Je ne veux pas me désabonner",
    ],
)
def test_a_sentence_or_another_answer_is_left_to_a_person(text):
    assert opt_intent(text) is None


@given(
    st.sampled_from(KEYWORDS),
    st.lists(st.sampled_from("je ne pas ou encore le la demain 3 vous jamais".split()), min_size=1),
    st.lists(st.sampled_from("je ne pas ou encore le la demain 3 vous jamais".split())),
)
def test_a_keyword_among_other_words_is_no_opt_out(word, before, after):
    assert opt_intent(" ".join([*before, word, *after])) is None
    assert opt_intent(" ".join([*after, word, *before])) is None


@given(st.text(max_size=LONGEST + 50))
def test_any_text_is_read(text):
    assert opt_intent(text) in {"opt_out", "opt_in", None}


def test_a_very_long_text_is_no_keyword():
    assert opt_intent("stop " * 100) is None
    assert opt_intent("\ufdfa" * 1_000_000) is None
