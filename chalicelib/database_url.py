"""DATABASE_URL and DATABASE_CA: what hosting providers hand out, as `make_engine` takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

from chalicelib.setting_types import LOOPBACK, UnusableError, split_url

PACKAGE = Path(__file__).parent
RDS_BUNDLE = "certs/rds-global-bundle.pem"
RDS_BUNDLE_SOURCE = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
SSL_MODES = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
# What hosting providers add to the addresses that they hand out, and that changes nothing for us:
# libpq's client options, and Prisma's and Supabase's own. pg8000 would refuse them.
WITHOUT_EFFECT = {
    "application_name",
    "channel_binding",
    "connect_timeout",
    "connection_limit",
    "gssencmode",
    "pool_timeout",
    "supa",
    "target_session_attrs",
}


@dataclass(frozen=True)
class DatabaseUrl:
    """`url` is `postgresql+pg8000://…`, for `make_engine`. `check_hostname` is False for
    `sslmode=verify-ca`: the chain is verified, the server's name is not. `pooled`: the address is
    recognisably a transaction pooler's, which refuses start-up parameters."""

    url: str = field(repr=False)
    check_hostname: bool = True
    pooled: bool = False


def database_url(text: str) -> DatabaseUrl:
    """postgres://, postgresql:// or postgresql+pg8000://; over TCP or, with `?host=/directory` or
    `?unix_sock=`, over a socket. libpq's `sslmode` is understood as far as it makes sense where
    TLS is always verified: `disable` is for this machine only."""
    parts = split_url(text)
    if parts.scheme not in {"postgres", "postgresql", "postgresql+pg8000"}:
        raise UnusableError("attendu : postgresql://utilisateur:motdepasse@serveur:port/base")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    socket = options.pop("unix_sock", "")
    directory = options.pop("host", "")
    if directory.startswith("/"):
        socket = f"{directory.rstrip('/')}/.s.PGSQL.{parts.port or options.pop('port', 5432)}"
    elif directory:
        raise UnusableError("mettez le serveur avant la base : postgresql://…@serveur:port/base")
    ssl_mode = options.pop("sslmode", "")
    pooler = options.pop("pgbouncer", "").lower() == "true"
    host, database = parts.hostname or "", unquote(parts.path[1:])
    if not database or "/" in database or not (host or socket) or "," in parts.netloc:
        raise UnusableError(
            "attendu : postgresql://utilisateur:motdepasse@serveur:port/base ; dans le mot de "
            "passe, écrivez %40 pour @, %2F pour /, %3A pour :, %23 pour # et %3F pour ?"
        )
    if options.keys() - WITHOUT_EFFECT:
        raise UnusableError(
            "un paramètre après « ? » n'est pas pris en charge. Seul sslmode a un effet ; "
            "l'autorité de certification se règle par DATABASE_CA"
        )
    if ssl_mode not in SSL_MODES | {""}:
        raise UnusableError(f"sslmode doit être {', '.join(sorted(SSL_MODES))}")
    if ssl_mode == "disable" and not socket and host not in LOOPBACK:
        raise UnusableError(
            "sslmode=disable n'est accepté que pour une base sur cette machine : ailleurs la "
            "connexion est chiffrée et vérifiée (voir DATABASE_CA)"
        )
    login = "" if parts.username is None else quote(unquote(parts.username), safe="")
    if parts.password is not None:
        login += ":" + quote(unquote(parts.password), safe="")
    place = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port and not socket else ""
    query = f"?unix_sock={quote(socket, safe='')}" if socket else ""
    at = "@" if login or socket else ""
    return DatabaseUrl(
        f"postgresql+pg8000://{login}{at}{'' if socket else place}{port}/"
        f"{quote(database, safe='')}{query}",
        check_hostname=ssl_mode != "verify-ca",
        pooled=pooler or "pooler" in host,
    )


def certificate_authority(text: str) -> str | None:
    """A PEM file's path, the PEM text itself, or None for the system's store. A relative path is
    that of a file shipped in `chalicelib`, or else one in the current directory. Looked at here,
    because nothing later could say in French what is wrong with it."""
    if text.lower() == "system":
        return None
    if "-----BEGIN" in text:
        # Bundles have comments before their certificates.
        pem = text[text.index("-----BEGIN") :]
        _load(cadata=pem)
        return pem
    bundled = text.lower() == "rds"
    path = PACKAGE / (RDS_BUNDLE if bundled else text)
    if not _is_file(path):
        path = Path(text)
    if not _is_file(path):
        source = (
            f" : téléchargez-le depuis {RDS_BUNDLE_SOURCE}"
            if bundled
            else (
                " : donnez un chemin complet, ou placez-le dans chalicelib, par exemple "
                "certs/fournisseur.pem"
            )
        )
        raise UnusableError(f"ce fichier de certificats n'existe pas{source}")
    _load(cafile=str(path))
    return str(path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def _load(**authority: str) -> None:
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(**authority)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        raise UnusableError(
            "il faut un ou plusieurs certificats d'autorité au format PEM "
            "(-----BEGIN CERTIFICATE-----), sans rien couper"
        ) from None
