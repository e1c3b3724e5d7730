"""The settings: one table, read lazily, each value typed and checked when it is first used.

On `local` every value comes from the environment. On the other stages secrets come from SSM
Parameter Store only, under `/ponctuel/<stage>/`; the rest comes from the function's environment,
and SSM overrides it, except what has to be known before SSM can be asked. docs/settings.md is the
operator's copy of the table, and a test compares the two.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from chalicelib import database_url as database
from chalicelib import setting_types as parse
from chalicelib.errors import SettingsError
from chalicelib.redaction import conceal
from chalicelib.setting import REQUIRED, Setting
from chalicelib.setting_types import AllowList, ServiceUrl
from chalicelib.settings_inbox import InboxSettings
from chalicelib.settings_sending import SendingSettings

if TYPE_CHECKING:
    pass

T = TypeVar("T")
LOCAL = "local"


# Unformatted, because the table reads better with one short paragraph per setting.
# fmt: off
SCHEDULE: Setting[str | None] = Setting(
    "SCHEDULE_<JOB>", parse.schedule, None, environment_only=True,
    meaning="horaire d'un job (cinq champs), à la place du sien ; pris en compte au déploiement",
    example="*/30 * * * *")
ZONE: Setting[str | None] = Setting(
    "ZONE_<JOB>", parse.zone, None, environment_only=True,
    meaning="fuseau d'un job, ou business ; pris en compte au déploiement",
    example="Europe/Paris")
# fmt: on


class Settings(SendingSettings, InboxSettings):
    """Every attribute raises `SettingsError`, in French and naming the setting, when its value is
    missing, unusable or cannot be fetched."""

    # fmt: off
    _stage: Setting[str] = Setting(
        "PONCTUEL_STAGE", parse.stage, LOCAL, environment_only=True,
        meaning="nom de l'étape ; local est réservé à votre machine",
        example="prod")
    cron_secret: Setting[str | None] = Setting(
        "CRON_SECRET", parse.secret, None, secret=True,
        meaning="secret des appels HTTP, 32 caractères au moins",
        example="V2mJ0xw3QzT7c9kL…")
    cron_secret_previous: Setting[str | None] = Setting(
        "CRON_SECRET_PREVIOUS", parse.secret, None, secret=True,
        meaning="secret d'avant, encore accepté pendant un changement",
        example="q7Jd2Lk9Zx4Cv6Bn…")
    database_url: Setting[database.DatabaseUrl] = Setting(
        "DATABASE_URL", database.database_url, REQUIRED, secret=True,
        meaning="adresse de la base PostgreSQL",
        example="postgresql://ponctuel:motdepasse@db.example.fr:5432/ponctuel")
    database_ca: Setting[str | None] = Setting(
        "DATABASE_CA", database.certificate_authority, None,
        meaning="autorité de certification de la base : system, rds, un fichier PEM ou son texte",
        example="system")
    _startup_parameters: Setting[str] = Setting(
        "DATABASE_STARTUP_PARAMETERS", parse.one_of("auto", "on", "off"), "auto",
        meaning="délais envoyés à la connexion ; PgBouncer les refuse (auto : reconnu à l'adresse)",
        example="off")
    operator_email: Setting[str | None] = Setting(
        "OPERATOR_EMAIL", parse.email_address, None,
        meaning="adresse qui reçoit les alertes",
        example="astreinte@example.fr")
    allow_list: Setting[AllowList] = Setting(
        "ALLOW_LIST", parse.allow_list, AllowList(),
        meaning="seuls destinataires tant que l'étape n'est pas en service",
        example="essai@example.fr, *@example.com")
    storage_url: Setting[ServiceUrl | None] = Setting(
        "STORAGE_URL", parse.storage_url, None,
        meaning="documents à joindre : file:///dossier ou s3://compartiment/préfixe",
        example="s3://example-documents/factures")
    public_url: Setting[str | None] = Setting(
        "PUBLIC_URL", parse.public_url, None,
        meaning="adresse publique de l'API, pour les liens des messages",
        example="https://ponctuel.example.fr/api")
    closer_link_days: Setting[int] = Setting(
        "CLOSER_LINK_DAYS", parse.whole_number(1, 30), 7,
        meaning="durée du lien vers la page d'un closer, en jours",
        example="7")
    # API Gateway answers 504 by itself after 29 s.
    wait_seconds: Setting[int] = Setting(
        "WAIT_SECONDS", parse.whole_number(0, 25), 20,
        meaning="attente d'un passage avant de répondre 202, en secondes",
        example="20")
    secret_in_query: Setting[bool] = Setting(
        "SECRET_IN_QUERY", parse.switch, True,
        meaning="accepter ?secret= sur les routes de compatibilité",
        example="off")
    log_level: Setting[str] = Setting(
        "LOG_LEVEL", parse.one_of("DEBUG", "INFO", "WARNING", "ERROR"), "INFO",
        environment_only=True,
        meaning="niveau minimal des journaux",
        example="DEBUG")
    log_format: Setting[str] = Setting(
        "LOG_FORMAT", parse.one_of("auto", "json", "text"), "auto", environment_only=True,
        meaning="format des journaux (auto : texte dans un terminal local, sinon JSON)",
        example="text")
    ledger_mark_file: Setting[str | None] = Setting(
        "LEDGER_MARK_FILE", parse.file_name, None, environment_only=True,
        meaning="sur local : fichier qui reconnaît une base restaurée ; ailleurs, SSM s'en charge",
        example="/var/lib/ponctuel/mark.json")
    # fmt: on

    def __init__(
        self, environment: Mapping[str, str], parameters: Callable[[str], Mapping[str, str]]
    ) -> None:
        """`environment` is looked at on each access; `parameters(path)` gives what SSM holds."""
        self.environment = environment
        self._parameters = parameters
        self._parsed: dict[str, tuple[str, Any]] = {}

    @classmethod
    def from_mapping(
        cls, environment: Mapping[str, str], parameters: Mapping[str, str] | None = None
    ) -> Settings:
        """Settings of a test or a tool. Without `parameters`, SSM is taken to hold the same
        values as `environment`."""
        held = environment if parameters is None else parameters
        return cls(environment, lambda _path: held)

    @property
    def stage(self) -> str:
        """`local` or a deployed stage. A Lambda function that does not know its stage is refused:
        on `local` HTTP calls may need no secret."""
        stage = self._stage
        if stage == LOCAL and "AWS_LAMBDA_FUNCTION_NAME" in self.environment:
            raise SettingsError(
                "PONCTUEL_STAGE : sur AWS il faut le nom de l'étape, autre que local. "
                "Ajoutez-le aux environment_variables de l'étape dans .chalice/config.json."
            )
        return stage

    @property
    def is_local(self) -> bool:
        return self.stage == LOCAL

    @property
    def database_startup_parameters(self) -> bool:
        """Whether `make_engine` may send time-outs in the start-up packet."""
        chosen = self._startup_parameters
        return not self.database_url.pooled if chosen == "auto" else chosen == "on"

    @property
    def max_attachment_bytes(self) -> int:
        return self.max_attachment_mb * 1_000_000

    def schedule_for(self, job: str) -> str | None:
        """The five-field schedule set for `job`, or None: the job's own."""
        return self.read(SCHEDULE, job)

    def zone_for(self, job: str) -> str | None:
        """The IANA zone or `business` set for `job`, or None: the job's own."""
        return self.read(ZONE, job)

    def read(self, setting: Setting[T], job: str = "") -> T:
        """The value of one row of the table; `job` completes a row per job."""
        name = setting.name.replace("<JOB>", job.upper())
        text = self._text(setting, name).strip()
        if not text:
            if setting.default is REQUIRED:
                raise SettingsError(
                    f"{name} n'est pas renseigné : {setting.meaning}. {self.how_to_set(name)}"
                )
            return setting.default
        known = self._parsed.get(name)
        if known is not None and known[0] == text:
            value: T = known[1]
            return value
        if setting.secret:
            conceal(*parse.secret_parts(text))
        try:
            value = setting.parse(text)
        except ValueError as error:
            reason = str(error) if isinstance(error, parse.UnusableError) else "valeur inutilisable"
            raise SettingsError(f"{name} : {reason}. Exemple : {setting.example}") from None
        self._parsed[name] = (text, value)
        return value

    def how_to_set(self, name: str) -> str:
        """The French sentence that says where the secret `name` has to be put on this stage."""
        if self.is_local:
            return f"Ajoutez {name} aux variables d'environnement."
        return f"Enregistrez-le : `./ponctuel secrets store {name} --stage {self.stage}`."

    def _text(self, setting: Setting[Any], name: str) -> str:
        here = self.environment.get(name, "")
        if setting.environment_only or self.is_local:
            return here
        held = self._parameters(f"/ponctuel/{self.stage}/").get(name, "")
        return held if setting.secret else held or here


def rows() -> tuple[Setting[Any], ...]:
    """The whole table, in its order."""
    declared = (
        value
        for part in (Settings, SendingSettings, InboxSettings)
        for value in vars(part).values()
        if isinstance(value, Setting)
    )
    return (*declared, SCHEDULE, ZONE)


_current: Settings | None = None


def settings(*, refresh: bool = False) -> Settings:
    """This process's settings. `refresh` asks SSM again at the next access to a value kept there;
    without it SSM's values are at most five minutes old."""
    global _current
    if _current is None:
        _current = Settings(os.environ, _from_ssm)
    if refresh:
        from chalicelib import ssm

        ssm.forget()
    return _current


def _from_ssm(path: str) -> Mapping[str, str]:
    from chalicelib import ssm

    return ssm.load(path)
