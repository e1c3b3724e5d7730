"""Only Twilio and Meta may say what became of a message."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from chalicelib.errors import BadRequest, NotConfigured, Unauthorized
from chalicelib.webhooks.signatures import meta_challenge, verify_meta, verify_twilio

FORM = "application/x-www-form-urlencoded; charset=UTF-8"
TOKEN, PREVIOUS = "12345", "previous-token"
STATUS_URL = "https://ponctuel.example.fr/api/webhooks/twilio/status?message=3f2a91bc-42"


class Fields(dict):
    """Several values per name, as Twilio's library reads them from a framework."""

    def getlist(self, name):
        return self[name]


def twilio_accepts(url, body, signature, *, tokens=(TOKEN,), content_type=FORM, **rest) -> bool:
    try:
        verify_twilio(
            url=url,
            body=body,
            content_type=content_type,
            signature=signature,
            tokens=tokens,
            **rest,
        )
    except Unauthorized:
        return False
    return True


def signed(url: str, fields: dict[str, list[str]], token: str = TOKEN) -> str:
    return RequestValidator(token).compute_signature(url, Fields(fields))


def encoded(fields: dict[str, list[str]]) -> bytes:
    return urlencode(fields, doseq=True).encode()


labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)
paths = st.lists(st.text(min_size=0, max_size=8).map(lambda text: quote(text, safe="")), max_size=4)
queries = st.dictionaries(labels, st.text(max_size=10), max_size=3).map(urlencode)
urls = st.builds(
    lambda scheme, host, port, path, slash, query: (
        f"{scheme}://{host}.example.fr{port}"
        + "".join(f"/{part}" for part in path)
        + slash
        + (f"?{query}" if query else "")
    ),
    st.sampled_from(["https", "http"]),
    labels,
    st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}")),
    paths,
    st.sampled_from(["", "/"]),
    queries,
)
forms = st.dictionaries(
    st.text(min_size=1, max_size=10), st.lists(st.text(max_size=20), min_size=1, max_size=3)
)


def test_twilios_own_example_is_accepted():
    body = encoded(
        {
            "CallSid": ["CA1234567890ABCDE"],
            "Caller": ["+14158675309"],
            "Digits": ["1234"],
            "From": ["+14158675309"],
            "To": ["+18005551212"],
        }
    )
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert twilio_accepts(url, body, "RSOYDt4T1cUTdK1PDd93/VVr8B8=")
    assert not twilio_accepts(url, body, "RSOYDt4T1cUTdK1PDd93/VVr8B9=")


@given(urls, forms)
def test_a_form_that_twilios_library_signed_is_accepted(url, fields):
    assert twilio_accepts(url, encoded(fields), signed(url, fields))


@given(urls, urls, forms, forms)
def test_a_form_is_accepted_when_and_only_when_twilios_library_accepts_it(url, other, form, sent):
    signature = signed(other, form)
    for address in (url, other):
        for fields in (form, sent):
            theirs = RequestValidator(TOKEN).validate(address, Fields(fields), signature)
            assert twilio_accepts(address, encoded(fields), signature) == theirs


@given(urls, st.text(max_size=60))
def test_a_json_body_is_accepted_when_and_only_when_twilios_library_accepts_it(url, text):
    body = json.dumps({"text": text})
    mark = "&" if "?" in url else "?"
    address = f"{url}{mark}bodySHA256={hashlib.sha256(body.encode()).hexdigest()}"
    signature = signed(address, {})
    for sent in (body, body + " "):
        theirs = RequestValidator(TOKEN).validate(address, sent, signature)
        ours = twilio_accepts(address, sent.encode(), signature, content_type="application/json")
        assert ours == theirs == (sent == body)


def test_a_json_body_that_nothing_signs_is_refused():
    signature = signed(STATUS_URL, {})
    assert not twilio_accepts(STATUS_URL, b"{}", signature, content_type="application/json")
    assert not twilio_accepts(STATUS_URL, b"{}", signature, content_type="")


def test_a_trailing_slash_is_part_of_the_address():
    url = "https://ponctuel.example.fr/api/webhooks/twilio/status"
    signature = signed(url, {})
    assert twilio_accepts(url, b"", signature)
    assert not twilio_accepts(url + "/", b"", signature)


def test_bytes_that_are_not_utf_8_are_checked_as_they_came():
    signature = b64encode(hmac.digest(TOKEN.encode(), STATUS_URL.encode() + b"Body\xe9", "sha1"))
    assert twilio_accepts(STATUS_URL, b"Body=%E9", signature.decode())
    assert twilio_accepts(STATUS_URL, b"Body=\xe9", signature.decode())
    assert not twilio_accepts(STATUS_URL, b"Body=%C3%A9", signature.decode())


def test_a_shared_key_signs_with_sha_256():
    body, fields = b"MessageSid=SM1", {"MessageSid": ["SM1"]}
    signature = RequestValidator(TOKEN).compute_signature(STATUS_URL, Fields(fields), "HMAC_SHA256")
    header = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
    assert twilio_accepts(STATUS_URL, body, signature, signature_settings=header)
    assert not twilio_accepts(STATUS_URL, body, signature)
    assert not twilio_accepts(STATUS_URL, body, signature, signature_settings="algorithm=NONE")


def test_the_token_from_before_a_change_is_accepted_too():
    body, fields = b"MessageSid=SM1", {"MessageSid": ["SM1"]}
    old, foreign = signed(STATUS_URL, fields, PREVIOUS), signed(STATUS_URL, fields, "other")
    assert twilio_accepts(STATUS_URL, body, old, tokens=(TOKEN, PREVIOUS))
    assert not twilio_accepts(STATUS_URL, body, old, tokens=(TOKEN, None))
    assert not twilio_accepts(STATUS_URL, body, foreign, tokens=(TOKEN, PREVIOUS))


@pytest.mark.parametrize("tokens", [(), (None, None), ("", "  ")])
def test_without_a_secret_nothing_is_accepted(tokens):
    empty = b64encode(hmac.digest(b"", STATUS_URL.encode(), "sha1")).decode()
    with pytest.raises(NotConfigured):
        twilio_accepts(STATUS_URL, b"", empty, tokens=tokens)
    with pytest.raises(NotConfigured):
        verify_meta(body=b"", signature="sha256=", app_secrets=tokens)
    with pytest.raises(NotConfigured):
        meta_challenge({"hub.mode": "subscribe", "hub.challenge": "1"}, tokens)


@given(st.text(max_size=60))
def test_no_text_in_place_of_a_signature_is_accepted_or_crashes(signature):
    assert not twilio_accepts(STATUS_URL, b"MessageSid=SM1", signature)
    with pytest.raises(Unauthorized):
        verify_meta(body=b"{}", signature=signature, app_secrets=[TOKEN])


@given(st.binary(max_size=200), st.text(max_size=20), st.text(max_size=80))
def test_no_request_crashes_the_check(body, content_type, url):
    assert not twilio_accepts(url, body, "c2lnbmF0dXJl", content_type=content_type)


@pytest.mark.parametrize("body", [b"a" * 1_000_000, b"a=1&" * 301])
def test_an_enormous_form_is_refused_without_being_taken_apart(body):
    with pytest.raises(BadRequest):
        twilio_accepts(STATUS_URL, body, "c2lnbmF0dXJl")


def of_meta(body: bytes, secret: str = TOKEN) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(1, 255))
def test_metas_signature_covers_each_byte(body, position, change):
    verify_meta(body=body, signature=of_meta(body), app_secrets=[TOKEN])
    if body:
        altered = bytearray(body)
        altered[position % len(body)] ^= change
        with pytest.raises(Unauthorized):
            verify_meta(body=bytes(altered), signature=of_meta(body), app_secrets=[TOKEN])
    with pytest.raises(Unauthorized):
        verify_meta(body=body, signature=of_meta(body)[:-1], app_secrets=[TOKEN])


def test_metas_secret_can_be_changed_without_losing_an_event():
    verify_meta(body=b"{}", signature=of_meta(b"{}", PREVIOUS), app_secrets=[TOKEN, PREVIOUS])
    with pytest.raises(Unauthorized) as caught:
        verify_meta(body=b"{}", signature=of_meta(b"{}", PREVIOUS), app_secrets=[TOKEN, None])
    assert caught.value.code == "signature"


def test_the_older_sha_1_header_of_meta_is_not_enough():
    signature = "sha1=" + hmac.new(TOKEN.encode(), b"{}", hashlib.sha1).hexdigest()
    with pytest.raises(Unauthorized):
        verify_meta(body=b"{}", signature=signature, app_secrets=[TOKEN])


def challenge(**given: str) -> str:
    query = {"hub.mode": "subscribe", "hub.verify_token": TOKEN, "hub.challenge": "1158201444"}
    return meta_challenge(
        query | {f"hub.{name}": value for name, value in given.items()}, [TOKEN, PREVIOUS]
    )


def test_metas_challenge_goes_back_to_who_knows_the_token():
    assert challenge() == "1158201444"
    assert challenge(verify_token=PREVIOUS) == "1158201444"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"verify_token": "guess"}, "signature"),
        ({"verify_token": ""}, "signature_missing"),
        ({"mode": "unsubscribe"}, "challenge"),
        ({"challenge": ""}, "challenge"),
        ({"challenge": "<script>alert(1)</script>"}, "challenge"),
        ({"challenge": "1" * 201}, "challenge"),
    ],
)
def test_any_other_verification_is_refused(given, code):
    with pytest.raises((Unauthorized, BadRequest)) as caught:
        challenge(**given)
    assert caught.value.code == code
    assert TOKEN not in str(caught.value)
