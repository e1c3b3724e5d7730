"""The configuration of the sandbox's Dovecot, in one file."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

FOLDERS = ("Drafts", "Sent", "Junk", "Trash", "Archive")


def configuration(
    folder: Path,
    owner: pwd.struct_passwd,
    *,
    root: bool,
    ports: tuple[int, int],
    certificate: Path | None,
    more: str,
) -> str:
    """All that is in `folder`, for mail that is `owner`'s; `root`: the server is started as root.
    `ports`: plain with STARTTLS, and TLS."""
    me = owner.pw_name
    folders = "".join(
        f"  mailbox {name} {{\n    special_use = \\{name}\n    auto = create\n  }}\n"
        for name in FOLDERS
    )
    unprivileged = f"default_internal_user = {me}\ndefault_login_user = {me}\n"
    pem = certificate
    return f"""
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
{"" if root else unprivileged + f"default_internal_group = {os.getegid()}"}
ssl = {"yes" if pem else "no"}
{f"ssl_cert = <{pem}" if pem else ""}
{f"ssl_key = <{pem}" if pem else ""}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/users
}}
userdb {{
  driver = static
  args = uid={owner.pw_uid} gid={owner.pw_gid} home={folder}/mail/%u
}}
first_valid_uid = {owner.pw_uid}
first_valid_gid = {owner.pw_gid}
mail_location = maildir:~
mail_fsync = never
mail_max_userip_connections = 1000
namespace inbox {{
  inbox = yes
  separator = /
{folders}}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {ports[0]}
  }}
  inet_listener imaps {{
    port = {ports[1] if pem else 0}
    ssl = yes
  }}
  # One process for all logins, instead of one for each.
  service_count = 0
}}
service imap {{
  process_limit = 1000
}}
service anvil {{
  chroot =
  # No waiting after a wrong password.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
{more}
"""
