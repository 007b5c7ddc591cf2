"""Find out at once whether anybody listens at an address: clients try for minutes before they say so."""

from __future__ import annotations

import os
import re
import socket
from urllib.parse import urlsplit

from engage_spark.errors import ConfigurationError, TransientError

SECONDS = 5.0
PORTS = {"sc": 15002, "http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Ports of addresses that name none."""
_STAYS = re.compile(
    r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|PKIX path|CertPathValidator"
    r"|invalid peer certificate|Certificate for \S+ doesn't match|Hostname \S+ not verified"
    r"|No (?:name|subject alternative \w+) matching|unrecognized SSL message|WRONG_VERSION_NUMBER"
    r"|Proxy Authentication Required"
    r"|UnknownHostException|Name or service not known|nodename nor servname|Domain name not found",
    re.IGNORECASE,
)


def stays_unreachable(text: str) -> bool:
    """Return whether a failure to connect is of a kind that no waiting mends: a certificate that is not
    trusted, another protocol, a proxy that asks for a password, a name that no host has.
    """
    return _STAYS.search(text) is not None


def require_listener(address: str, what: str, *, setting: str, seconds: float = SECONDS) -> None:
    """Open and close one connection to the host of an address.

    Nothing is asked where a proxy stands between, or where the address names no host.
    Errors: ConfigurationError where there is no host of that name, TransientError where nobody answers.
    """
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port or PORTS.get(parts.scheme.split("+")[0], 443)
    except ValueError as e:
        raise ConfigurationError(f"{what}: {address} is no address: {e}", hint=f"correct {setting}") from None
    if host is None or _has_proxy():
        return
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except socket.gaierror as e:
        if e.errno == socket.EAI_AGAIN:
            raise TransientError(
                f"{what}: the name of {host} cannot be looked up now: {e.strerror}",
                hint="see that this machine reaches its name server",
            ) from None
        raise ConfigurationError(
            f"{what}: there is no host {host}: {e.strerror}",
            hint=f"correct {setting}, or the network's names",
        ) from None
    except OSError as e:
        raise TransientError(
            f"{what}: nobody answers at {host}:{port}: {e.strerror or e}",
            hint=f"see that the server runs and can be reached; {setting} has its address",
        ) from None


def require_free_port(host: str, port: int, *, setting: str) -> None:
    """Open and close a listener, so that what will listen there can be said to.

    Errors: ConfigurationError where another listens there already, or this user may not.
    """
    try:
        socket.create_server((host, port)).close()
    except OSError as e:
        raise ConfigurationError(
            f"port {port} of {host} cannot be listened at: {e.strerror or e}",
            hint=f"end what listens there, or give another port by {setting}",
        ) from None


def _has_proxy() -> bool:
    return any(os.environ.get(name) or os.environ.get(name.lower()) for name in ("HTTPS_PROXY", "GRPC_PROXY"))
