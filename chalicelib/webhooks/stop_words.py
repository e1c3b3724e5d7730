"""Whether a message that somebody wrote is an opt-out, an opt-in, or neither.

The whole message has to be one of the phrases below: a sentence that merely holds the word is for a
person to read. Before the comparison:

- case, accents, punctuation, quotation marks, symbols and emoji do not count, nor do invisible
  characters; full-width and other compatibility letters are the plain ones;
- courtesies around the phrase do not count ("Bonjour, STOP svp"), nor its repetition ("stop stop");
- a word that is spelled out is that word ("S.T.O.P").

A question mark is punctuation like another: "STOP ?" stops. Who is stopped by mistake can say
START; who is written to after a STOP may complain. Nothing else is read into a text: "oui" and
"non" answer something else, "annuler" may be about an appointment, "fin" about anything.
"""

from __future__ import annotations

import unicodedata
from typing import Literal

# No phrase is nearly as long, decoration included.
LONGEST = 200


def _phrases(table: str) -> frozenset[str]:
    return frozenset(
        phrase for line in table.split("\n") for phrase in line.strip().split("|") if phrase
    )


# STOP… to OPTOUT: Twilio's default keywords (Advanced Opt-Out); ARRET and TD: AWS's list of
# keywords for France and Canada. The French phrases, and the labels of the opt-out buttons of
# marketing templates, are ours. Written as they are compared: without accents or punctuation.
_OPT_OUT = _phrases(
    """
    stop|stopall|stop all|stop tout|stop pub|stop pubs|stop publicite|stop sms|stop whatsapp
    stop message|stop messages|stop mail|stop mails|stop relance|stop relances
    stop promo|stop promos|stop promotion|stop promotions
    unsubscribe|unsubscribe me|cancel|end|quit|revoke|optout|opt out|td
    arret|arrete|arretes|arreter|arretez|arretez tout|arretez ca|arrete ca
    arretez les messages|arretez les relances|arretez vos messages|arretez vos relances
    arretez de m ecrire|arrete de m ecrire|arretez de m envoyer des messages
    arreter les promotions|arreter les messages
    desabonner|desabonne|desabonnement|desabonnez moi|me desabonner|se desabonner
    je me desabonne|je veux me desabonner|je souhaite me desabonner|je voudrais me desabonner
    de me desabonner|veuillez me desabonner
    desinscrire|desinscription|desinscrivez moi|me desinscrire|se desinscrire
    je me desinscris|je veux me desinscrire|je souhaite me desinscrire|je voudrais me desinscrire
    de me desinscrire|veuillez me desinscrire
    plus de message|plus de messages|plus aucun message
    ne m ecrivez plus|ne m ecris plus|ne me contactez plus|ne me relancez plus
    ne m envoyez plus de message|ne m envoyez plus de messages|ne m envoyez plus rien
    """
)
_OPT_IN = _phrases(
    """
    start|unstop|resume|subscribe|optin|opt in
    reprendre|reprenez|reprendre les messages|reprenez les messages
    reabonner|reabonnement|reabonnez moi|me reabonner|se reabonner|je me reabonne
    reinscrire|reinscription|reinscrivez moi|me reinscrire|se reinscrire|je me reinscris
    """
)

_COURTESIES = (
    ("s", "il", "vous", "plait"),
    ("s", "il", "te", "plait"),
    ("merci", "d", "avance"),
    ("merci", "beaucoup"),
    *(
        (word,)
        for word in "bonjour bonsoir salut hello hi madame monsieur svp stp merci please "
        "cordialement thanks".split()
    ),
)

Intent = Literal["opt_out", "opt_in"]


def opt_intent(text: str) -> Intent | None:
    """What the whole of `text` asks for; None when it is anything else. Never raises."""
    if len(text) > LONGEST:
        return None
    words = _words(text)
    for candidate in (words, _without_courtesies(words)):
        phrase = _once(candidate)
        if phrase in _OPT_OUT:
            return "opt_out"
        if phrase in _OPT_IN:
            return "opt_in"
    return None


def _words(text: str) -> tuple[str, ...]:
    """Lower-case words of plain letters and digits."""
    found: list[str] = []
    # Case is folded between the two: it may give compatibility characters, and accents.
    for character in unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold()):
        category = unicodedata.category(character)
        if category[0] in "LN":
            found.append(character)
        elif category[0] not in "MC" or character.isspace():
            found.append(" ")  # marks and invisible characters are left out, not a space
    words = tuple("".join(found).split())
    if len(words) > 1 and all(len(word) == 1 for word in words):
        return ("".join(words),)
    return words


def _without_courtesies(words: tuple[str, ...]) -> tuple[str, ...]:
    for courtesy in _COURTESIES:
        length = len(courtesy)
        if words[:length] == courtesy:
            return _without_courtesies(words[length:])
        if words[-length:] == courtesy:
            return _without_courtesies(words[:-length])
    return words


def _once(words: tuple[str, ...]) -> str:
    """The phrase, said once."""
    for length in range(1, len(words) // 2 + 1):
        if len(words) % length == 0 and words[:length] * (len(words) // length) == words:
            return " ".join(words[:length])
    return " ".join(words)
