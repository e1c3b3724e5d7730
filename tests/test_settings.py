"""Settings: where each value comes from, what is accepted, and what an operator is told."""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from chalicelib import database_url
from chalicelib.errors import SettingsError
from chalicelib.redaction import MASK, scrub
from chalicelib.setting_types import UnusableError
from chalicelib.settings import Settings, rows, settings
from chalicelib.settings_check import problems

SECRET = "n3verShownAnywhere-n3verShownAnywhere"
KEY = "A2eU6yJ4r0N8tqk3vP5xw7Zs9bD1fH-cLmQgR_iTjo0"
DOCUMENT = Path(__file__).parent.parent / "docs" / "settings.md"


def local(**values: str) -> Settings:
    return Settings.from_mapping(values)


def deployed(environment: dict[str, str], parameters: dict[str, str]) -> Settings:
    return Settings.from_mapping({"PONCTUEL_STAGE": "prod", **environment}, parameters)


def documented_rows() -> dict[str, list[str]]:
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    table = [line.strip("|").split(" | ") for line in lines if re.match(r"\| `[A-Z_<>]+` \|", line)]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in table}


def test_the_documentation_lists_every_setting_and_no_other():
    assert list(documented_rows()) == [row.name for row in rows()]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_the_documentation_agrees_with_the_table(row):
    kept, default, example, _meaning = documented_rows()[row.name]
    where = "SSM" if row.secret else "environment" if row.environment_only else "environment or SSM"
    assert kept == where
    assert example == f"`{row.example}`"
    if default.startswith("`"):
        assert row.parse(default.strip("`")) == row.default
    else:
        assert default in {"none", "required"}
        assert (default == "required") == (row.default.__class__ is object)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_every_example_is_accepted_except_that_no_example_can_be_used_as_a_secret(row):
    if row.name.startswith(("CRON_SECRET", "LINK_SECRET", "UNSUBSCRIBE_SECRET", "MAILBOX_KEYS")):
        with pytest.raises(UnusableError):
            row.parse(row.example)
    else:
        row.parse(row.example)


def test_nothing_is_read_when_the_module_is_imported():
    program = (
        "import os\n"
        "class Closed(dict):\n"
        "    def __getitem__(self, name): raise AssertionError(name)\n"
        "    get = __getitem__\n"
        "os.environ = Closed()\n"
        "import chalicelib.settings, sys\n"
        "print(sorted({'boto3', 'botocore', 'sqlalchemy', 'chalice', 'aws_lambda_powertools'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_without_a_stage_everything_comes_from_the_environment():
    assert local().stage == "local"
    assert local(CRON_SECRET=SECRET).cron_secret == SECRET
    assert Settings.from_mapping({"CRON_SECRET": SECRET}, {}).cron_secret == SECRET


def test_on_a_deployed_stage_a_secret_in_the_environment_is_not_looked_at():
    assert deployed({"CRON_SECRET": SECRET}, {}).cron_secret is None
    assert deployed({}, {"CRON_SECRET": SECRET}).cron_secret == SECRET


def test_ssm_overrides_the_environment_for_what_is_not_secret():
    assert deployed({"WAIT_SECONDS": "5"}, {}).wait_seconds == 5
    assert deployed({"WAIT_SECONDS": "5"}, {"WAIT_SECONDS": "7"}).wait_seconds == 7


def test_a_schedule_and_the_log_level_are_never_looked_up_in_ssm():
    def refuse(path: str) -> dict[str, str]:
        raise AssertionError(path)

    current = Settings({"PONCTUEL_STAGE": "prod", "SCHEDULE_FOLLOWUPS": "0 8 * * *"}, refuse)
    assert current.schedule_for("followups") == "0 8 * * *"
    assert current.zone_for("followups") is None
    assert current.log_level == "INFO"


def test_parameters_are_those_of_the_stage():
    asked = []
    current = Settings({"PONCTUEL_STAGE": "essai-2"}, lambda path: asked.append(path) or {})
    assert current.cron_secret is None
    assert asked == ["/ponctuel/essai-2/"]


def test_a_lambda_function_that_does_not_know_its_stage_is_refused():
    function = {"AWS_LAMBDA_FUNCTION_NAME": "ponctuel-prod"}
    for environment in (function, {**function, "PONCTUEL_STAGE": "local"}):
        with pytest.raises(SettingsError, match="PONCTUEL_STAGE"):
            _ = Settings.from_mapping(environment).cron_secret
    assert Settings.from_mapping({**function, "PONCTUEL_STAGE": "prod"}).stage == "prod"


@pytest.mark.parametrize("stage", ["Prod", "../prod", "prod/autre", "1prod", "p" * 21])
def test_a_stage_name_that_could_name_another_path_is_refused(stage):
    with pytest.raises(SettingsError, match="PONCTUEL_STAGE"):
        _ = local(PONCTUEL_STAGE=stage).stage


def test_settings_are_the_same_object_until_the_process_ends(monkeypatch):
    monkeypatch.delenv("PONCTUEL_STAGE", raising=False)
    monkeypatch.setenv("WAIT_SECONDS", "3")
    current = settings()
    assert settings(refresh=True) is current
    assert current.wait_seconds == 3
    monkeypatch.setenv("WAIT_SECONDS", "4")
    assert current.wait_seconds == 4


@pytest.mark.parametrize("name", ["CRON_SECRET", "CRON_SECRET_PREVIOUS"])
def test_a_secret_under_32_characters_is_refused_without_being_quoted(name):
    weak = "s3cretButTooShort-s3cretButTooS"
    with pytest.raises(SettingsError, match=rf"^{name} : trop court .*32 caractères") as caught:
        _ = getattr(local(**{name: weak}), name.lower())
    assert "s3cret" not in str(caught.value)
    assert getattr(local(**{name: weak + "h"}), name.lower()) == weak + "h"


def test_white_space_around_a_value_is_not_part_of_it():
    assert local(CRON_SECRET=f"  {SECRET}\n").cron_secret == SECRET
    assert local(CRON_SECRET="   ").cron_secret is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("WAIT_SECONDS", "26"),
        ("WAIT_SECONDS", "-1"),
        ("WAIT_SECONDS", "1_0"),
        ("WAIT_SECONDS", "00000000026"),
        ("WAIT_SECONDS", "٣"),
        ("MAX_ATTACHMENT_MB", "0"),
        ("MAX_ATTACHMENT_MB", "29"),
        ("SENDING_CONCURRENCY", "9" * 5000),
        ("SECRET_IN_QUERY", "peut-être"),
        ("LOG_LEVEL", "BAVARD"),
        ("PUBLIC_URL", "http://ponctuel.example.fr"),
        ("PUBLIC_URL", "https://moi:motdepasse@ponctuel.example.fr"),
        ("PUBLIC_URL", "https://ponctuel.example.fr/?a=1"),
        ("MAIL_URL", "smtp.example.fr"),
        ("MAIL_URL", "ses://paris"),
        ("MAIL_URL", "smtp://serveur:port"),
        ("MAIL_FROM", "Ponctuel <relances@example.fr>\nBcc: tous@example.fr"),
        ("MAIL_FROM", "Ponctuel"),
        ("OPERATOR_EMAIL", "a@b.fr, c@d.fr"),
        ("ALLOW_LIST", "*@*"),
        ("ALLOW_LIST", "*example.fr"),
        ("ALLOW_LIST", "a*@example.fr"),
        ("STORAGE_URL", "file://dossier/factures"),
        ("STORAGE_URL", "s3:///factures"),
        ("MAILBOX_KEYS", KEY[:-1]),
        ("MAILBOX_KEYS", f"{KEY} {KEY}A"),
        ("MAILBOX_KEYS", KEY[:-1] + "B"),
        ("GOOGLE_OAUTH_URL", "google://client@"),
        ("GOOGLE_OAUTH_URL", "https://client:secret@oauth2.googleapis.com"),
        ("MICROSOFT_OAUTH_URL", "microsoft://client:secret@"),
        ("MICROSOFT_OAUTH_URL", "microsoft://client:secret@common/../v1"),
        ("INBOX_PRIVATE_HOSTS", "10.0.0.0/64"),
        ("INBOX_PRIVATE_HOSTS", "imap.example.fr; autre.example.fr"),
        ("DATABASE_CA", "absent.pem"),
        ("DATABASE_CA", "rds\0"),
    ],
)
def test_a_wrong_value_is_named_in_french_and_not_quoted(name, text):
    with pytest.raises(SettingsError, match=f"^{name} : ") as caught:
        read(local(**{name: text}), name)
    assert text not in str(caught.value).split("Exemple :")[0].removeprefix(f"{name} : ")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def read(current: Settings, name: str) -> object:
    return current.read(next(row for row in rows() if row.name == name))


@given(st.sampled_from([row for row in rows() if "<" not in row.name]), st.text(max_size=60))
def test_whatever_the_text_a_setting_has_a_value_or_a_settings_error(row, text):
    try:
        local(**{row.name: text}).read(row)
    except SettingsError as error:
        assert str(error).startswith(row.name)  # noqa: PT017 - the point is that both may happen


def test_a_value_has_its_type():
    current = local(
        MAIL_URL="smtps://moi%40example.fr:p%23ss@smtp.example.fr:465",
        MAIL_FROM="Atelier, Dupont <relances@example.fr>",
        STORAGE_URL="s3://documents/factures",
        PUBLIC_URL="https://ponctuel.example.fr/api/",
        SECRET_IN_QUERY="non",
        LOG_LEVEL="debug",
        MAX_ATTACHMENT_MB="5",
    )
    assert current.mail_url is not None
    assert current.mail_url.scheme == "smtps"
    assert current.mail_url.url == "smtps://moi%40example.fr:p%23ss@smtp.example.fr:465"
    assert current.storage_url is not None
    assert current.storage_url.url == "s3://documents/factures"
    assert current.public_url == "https://ponctuel.example.fr/api"
    assert current.secret_in_query is False
    assert current.log_level == "DEBUG"
    assert current.max_attachment_bytes == 5_000_000


def test_a_sender_has_a_name_and_an_address():
    sender = local(MAIL_FROM='"Atelier, Dupont" <relances@example.fr>').mail_from
    assert sender is not None
    assert (sender.name, sender.email) == ("Atelier, Dupont", "relances@example.fr")


def test_an_allow_list_allows_its_addresses_and_its_domains_and_nobody_else():
    allowed = local(ALLOW_LIST="Essai@Example.FR, *@example.com,").allow_list
    assert allowed.allows("essai@example.fr")
    assert allowed.allows("QUI@EXAMPLE.COM")
    assert not allowed.allows("autre@example.fr")
    assert not allowed.allows("qui@sous.example.com")
    assert not allowed.allows("qui@notexample.com")
    assert not local().allow_list.allows("essai@example.fr")


def test_keys_are_as_fernet_takes_them_and_each_is_masked_in_logs():
    other = secrets.token_urlsafe(32)
    assert local(MAILBOX_KEYS=f"{KEY}=,\n {other}").mailbox_keys == (f"{KEY}=", f"{other}=")
    assert local().mailbox_keys is None
    assert scrub(f"de {other} à") == f"de {MASK} à"


@pytest.mark.parametrize(
    ("text", "host", "address", "allowed"),
    [
        ("", "imap.interne.example", "10.1.2.3", False),
        ("off", "imap.interne.example", "10.1.2.3", False),
        ("on", "imap.interne.example", "10.1.2.3", True),
        ("Imap.Interne.example.", "imap.interne.EXAMPLE.", "10.1.2.3", True),
        ("imap.interne.example", "autre.interne.example", "10.1.2.3", False),
        ("autre.example, 10.1.0.0/16", "imap.interne.example", "10.1.2.3", True),
        ("10.1.2.3", "imap.interne.example", "10.1.2.4", False),
        ("10.1.0.0/16 ::1", "localhost", "::1", True),
        ("10.1.0.0/16", "localhost", "::1", False),
    ],
)
def test_a_private_server_is_allowed_by_name_address_or_network(text, host, address, allowed):
    assert local(INBOX_PRIVATE_HOSTS=text).inbox_private_hosts.allows(host, address) is allowed


def test_no_repr_shows_a_password_or_an_address():
    current = local(
        DATABASE_URL=f"postgresql://ponctuel:{SECRET}@db.example.fr/ponctuel",
        MAIL_URL=f"smtp://qui:{SECRET}@smtp.example.fr",
        ALLOW_LIST="client@example.fr",
    )
    shown = repr(current) + repr(vars(current).keys())
    shown += repr((current.database_url, current.mail_url, current.allow_list))
    assert SECRET not in shown
    assert "client@" not in shown
    assert "db.example.fr" not in shown


def test_a_missing_database_says_where_to_put_it():
    with pytest.raises(SettingsError, match=r"DATABASE_URL n'est pas renseigné .*environnement"):
        _ = local().database_url
    with pytest.raises(SettingsError, match="secrets store DATABASE_URL --stage prod"):
        _ = deployed({}, {}).database_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://u:p@h.fr/d", "postgresql+pg8000://u:p@h.fr/d"),
        ("postgresql://u:p@h.fr:6543/d?sslmode=require", "postgresql+pg8000://u:p@h.fr:6543/d"),
        ("postgresql+pg8000://u@[::1]:5433/d", "postgresql+pg8000://u@[::1]:5433/d"),
        (
            "postgresql://u:p@h.fr/d?sslmode=require&channel_binding=require",
            "postgresql+pg8000://u:p@h.fr/d",
        ),
        (
            "postgresql://u@/d?host=/run/postgresql",
            "postgresql+pg8000://u@/d?unix_sock=%2Frun%2Fpostgresql%2F.s.PGSQL.5432",
        ),
        (
            "postgresql+pg8000://postgres@/d?unix_sock=/run/x/.s.PGSQL.5432",
            "postgresql+pg8000://postgres@/d?unix_sock=%2Frun%2Fx%2F.s.PGSQL.5432",
        ),
        ("postgresql:///d?host=/run", "postgresql+pg8000://@/d?unix_sock=%2Frun%2F.s.PGSQL.5432"),
        ("postgresql://localhost/d?sslmode=disable", "postgresql+pg8000://localhost/d"),
    ],
)
def test_a_database_address_of_any_provider_becomes_pg8000s(text, expected):
    found = database_url.database_url(text)
    assert found.url == expected
    parsed = make_url(found.url)
    assert parsed.database == "d"
    assert set(parsed.query) <= {"unix_sock"}


@pytest.mark.parametrize(
    "text",
    [
        "mysql://u:p@h.fr/d",
        "postgresql://u:p@h.fr",
        "postgresql://u:p@h.fr/",
        "postgresql://u:p@h.fr/d/e",
        "postgresql:///d",
        "postgresql://u:p@h1.fr,h2.fr/d",
        "postgresql://u:p@h.fr:port/d",
        "postgresql://u:p#q@h.fr/d",
        "postgresql://u:p/q@h.fr/d",
        "postgresql://u:p q@h.fr/d",
        "postgresql://u:p@h.fr/d?sslmode=sometimes",
        "postgresql://u:p@h.fr/d?sslmode=disable",
        "postgresql://u:p@h.fr/d?sslrootcert=/x.pem",
        "postgresql://u:p@h.fr/d?options=-csearch_path%3Dx",
        "postgresql://u:p@/d?host=h.fr",
    ],
)
def test_a_database_address_that_cannot_be_followed_to_the_letter_is_refused(text):
    with pytest.raises(SettingsError, match="DATABASE_URL : ") as caught:
        _ = local(DATABASE_URL=text).database_url
    assert text not in str(caught.value)


printable = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)


@given(user=printable, password=printable)
def test_a_name_and_a_password_arrive_unchanged(user, password):
    from urllib.parse import quote

    text = f"postgres://{quote(user, safe='')}:{quote(password, safe='')}@db.example.fr/ponctuel"
    parsed = make_url(database_url.database_url(text).url)
    assert (parsed.username, parsed.password) == (user, password)
    assert (parsed.host, parsed.database) == ("db.example.fr", "ponctuel")


def test_verify_ca_alone_gives_up_the_servers_name():
    address = "postgresql://u:p@h.fr/d?sslmode="
    assert not database_url.database_url(address + "verify-ca").check_hostname
    assert database_url.database_url(address + "verify-full").check_hostname
    assert database_url.database_url(address + "prefer").check_hostname


@pytest.mark.parametrize(
    ("address", "chosen", "sent"),
    [
        ("postgresql://u:p@db.example.fr/d", "auto", True),
        ("postgresql://u:p@ep-x-pooler.eu-central-1.aws.neon.tech/d", "auto", False),
        ("postgresql://u:p@aws-0-eu-west-3.pooler.supabase.com:6543/d", "auto", False),
        ("postgresql://u:p@db.example.fr/d?pgbouncer=true", "", False),
        ("postgresql://u:p@db.example.fr/d?pgbouncer=true", "on", True),
        ("postgresql://u:p@db.example.fr/d", "off", False),
    ],
)
def test_startup_parameters_are_not_sent_to_a_pooler(address, chosen, sent):
    current = local(DATABASE_URL=address, DATABASE_STARTUP_PARAMETERS=chosen)
    assert current.database_startup_parameters is sent


def test_an_authority_is_the_systems_a_file_or_its_text(tmp_path, authority):
    file = tmp_path / "ca.pem"
    file.write_text(authority)
    assert local().database_ca is None
    assert local(DATABASE_CA="System").database_ca is None
    assert local(DATABASE_CA=str(file)).database_ca == str(file)
    commented = f"# Autorité du fournisseur\n\n{authority}"
    assert local(DATABASE_CA=commented).database_ca == authority.strip()
    with pytest.raises(SettingsError, match="n'existe pas"):
        _ = local(DATABASE_CA="x" * 5000).database_ca


def test_an_authority_in_the_package_is_found_from_any_directory(tmp_path, authority, monkeypatch):
    monkeypatch.setattr(database_url, "PACKAGE", tmp_path / "package")
    (tmp_path / "package" / "certs").mkdir(parents=True)
    shipped = tmp_path / "package" / "certs" / "fournisseur.pem"
    shipped.write_text(authority)
    (tmp_path / "here.pem").write_text(authority)
    monkeypatch.chdir(tmp_path)
    assert local(DATABASE_CA="certs/fournisseur.pem").database_ca == str(shipped)
    assert local(DATABASE_CA="here.pem").database_ca == "here.pem"
    with pytest.raises(SettingsError, match="téléchargez-le depuis https://truststore"):
        _ = local(DATABASE_CA="rds").database_ca
    (tmp_path / "package" / "certs" / "rds-global-bundle.pem").write_text(authority * 100)
    assert str(local(DATABASE_CA="RDS").database_ca).endswith("rds-global-bundle.pem")


@pytest.mark.parametrize("harm", ["cut", "key", "empty"])
@pytest.mark.parametrize("form", ["file", "text"])
def test_an_authority_that_is_no_certificate_is_said_to_be_none(tmp_path, authority, harm, form):
    begin = "-----BEGIN CERTIFICATE-----\n"
    text = {
        "cut": authority[: len(authority) // 2],
        "key": authority.replace("CERTIFICATE", "PRIVATE KEY"),
        "empty": begin,
    }[harm]
    if form == "file":
        file = tmp_path / "ca.pem"
        file.write_text(text)
        text = str(file)
    with pytest.raises(SettingsError, match=r"^DATABASE_CA : .*format PEM"):
        _ = local(DATABASE_CA=text).database_ca


@pytest.fixture(scope="module")
def authority():
    from tests.certificates import sign

    return sign("Autorité").pem


def test_schedules_and_zones_are_looked_up_by_job():
    current = local(SCHEDULE_LEAD_FOLLOWUPS=" 0  */6 * * * ", ZONE_SHOP_ANALYTICS="Indian/Reunion")
    assert current.schedule_for("lead_followups") == "0 */6 * * *"
    assert current.schedule_for("followups") is None
    assert current.zone_for("shop_analytics") == "Indian/Reunion"
    assert local(ZONE_X="business").zone_for("x") == "business"


@pytest.mark.parametrize("zone", ["Paris", "Europe", "../Europe/Paris", "/etc/localtime", "\0"])
def test_a_zone_that_does_not_exist_is_refused(zone):
    with pytest.raises(SettingsError, match="ZONE_FOLLOWUPS"):
        local(ZONE_FOLLOWUPS=zone).zone_for("followups")


def test_checking_names_every_problem_at_once_and_misspelt_jobs():
    found = problems(
        local(
            WAIT_SECONDS="99",
            SCHEDULE_FOLLOWUPS="tous les jours",
            SCHEDULE_FOLLOWUP="0 8 * * *",
            ZONE_INBOX_SYNC="Mars",
        ),
        ["followups", "inbox_sync"],
    )
    named = sorted(message.split(" ")[0] for message in found)
    assert named == [
        "DATABASE_URL",
        "SCHEDULE_FOLLOWUP",
        "SCHEDULE_FOLLOWUPS",
        "WAIT_SECONDS",
        "ZONE_INBOX_SYNC",
    ]
    assert problems(local(DATABASE_URL="postgresql://u:p@h.fr/d"), ["followups"]) == []
