"""The configuration of a Dovecot 2.3 that keeps to its folder, run by root or by anybody."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

FOLDERS = ("Drafts", "Sent", "Junk", "Trash", "Archive")


def configuration(
    folder: Path,
    owner: pwd.struct_passwd,
    *,
    port: int,
    tls_port: int,
    certificate: Path | None,
    settings: str,
) -> str:
    """`owner` is whose the mail is. What `settings` say counts last."""
    folders = "".join(
        f"  mailbox {name} {{\n    special_use = \\{name}\n    auto = create\n  }}\n"
        for name in FOLDERS
    )
    pem = certificate
    return f"""
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
{_unprivileged(owner)}
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
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port if pem else 0}
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
{settings}
"""


def _unprivileged(owner: pwd.struct_passwd) -> str:
    """Without root, there is one user for everything."""
    if os.geteuid() == 0:
        return ""
    return (
        f"default_internal_user = {owner.pw_name}\n"
        f"default_login_user = {owner.pw_name}\n"
        f"default_internal_group = {grp.getgrgid(owner.pw_gid).gr_name}"
    )
