"""Pages for people: HTML that nothing can be slipped into, and errors that a customer can read.

A page answers for itself whatever goes wrong: the JSON of the door is for programs. What happened
is in the log, under the reference that the page shows.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from hashlib import sha256

from chalicelib import logs
from chalicelib.errors import BadRequest, NotConfigured, NotFound, PonctuelError
from chalicelib.routes.answers import Answer
from chalicelib.routes.call import Call

HTML = "text/html; charset=utf-8"
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)

View = Callable[[Call], Answer]


def page(
    name: str, content: Mapping[str, object], status: int = 200, *, leads_to: Sequence[str] = ()
) -> Answer:
    """The page `templates/pages/<name>.html`. Its policy allows the layout's style, by its hash,
    and forms that post back to us: no script, no style attribute, nothing from elsewhere.
    `leads_to`: where an answer to a form may redirect besides."""
    from chalicelib.outbox import rendering  # templates: not for every cold start

    html = rendering.page(name, content)
    hashes = (b64encode(sha256(s.encode()).digest()).decode() for s in _STYLE.findall(html)[:1])
    style = " ".join(f"'sha256-{digest}'" for digest in hashes)
    forms = " ".join(("'self'", *leads_to))
    policy = (
        f"default-src 'none'; style-src {style}; form-action {forms}; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    headers = {
        "Content-Type": HTML,
        "Content-Security-Policy": policy,
        "X-Robots-Tag": "noindex, nofollow",
    }
    return Answer(html, status, headers)


def answering(unavailable: str) -> Callable[[View], View]:
    """For a view that shows pages: an error is a page too. 400 or 404 says what the error says;
    503, where a setting is missing, says `unavailable`; 500 asks to try again."""

    def decorate(view: View) -> View:
        @wraps(view)
        def safe(call: Call) -> Answer:
            try:
                return view(call)
            except BadRequest as error:
                return _failed("Ce lien ne fonctionne pas", str(error), 400)
            except NotFound as error:
                return _failed("Ce lien ne fonctionne plus", str(error), 404)
            except NotConfigured as error:
                logs.error("page_not_configured", path=call.path, error=error)
                return _failed("Indisponible pour le moment", unavailable, 503)
            except Exception as error:  # noqa: BLE001 - a person must not be shown JSON or a stack
                code = error.code if isinstance(error, PonctuelError) else "crashed"
                logs.error("page_failed", path=call.path, code=code, error=error)
                again = "Réessayez dans quelques minutes avec le même lien."
                return _failed("Un problème de notre côté", again, 500, call.reference)

        return safe

    return decorate


def _failed(heading: str, message: str, status: int, reference: str = "") -> Answer:
    from chalicelib.outbox.formats import typographie

    content = {"heading": heading, "message": typographie(message), "reference": reference}
    return page("error", content, status)
