"""One SSH connection to one node, its host key always verified.

Nothing of the user's own SSH set-up takes part: no config file, no agent, no known_hosts, no password. A node that is
still booting is waited for; a node with another host key is refused at once.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from functools import cache

from attrs import field, frozen
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from skyrig.errors import BadInput, HostKeyMismatch, Unreachable
from skyrig.fleet.deadline import timeout
from skyrig.fleet.descriptors import TooManyFiles
from skyrig.fleet.pace import Door, Pace
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import Target

KEEPALIVE_S = 3.0
"""Seconds between keepalives; after KEEPALIVES unanswered ones the connection counts as lost (about 12 s)."""
KEEPALIVES = 3
_KEY_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "rsa-sha2-512", "rsa-sha2-256")
"""Host keys that are taken to look at them, after the pinned kind: OpenSSH hangs up on a client that takes none of its
kinds, and would look like a node that is away."""

_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
"""Put first: one call into OpenSSL a packet, where asyncssh's usual first choice (chacha20) takes four."""


@frozen
class Credentials:
    """The private key that opens the nodes, as OpenSSH text. It is never part of a repr, a log line or an error."""

    private_key: str = field(repr=False)
    _read: list[asyncssh.SSHKey] = field(factory=list, init=False, repr=False, eq=False)

    def key(self) -> asyncssh.SSHKey:
        """The key itself, read once. BadInput if the text is none."""
        if not self._read:
            try:
                self._read.append(asyncssh.import_private_key(self.private_key))
            except asyncssh.KeyImportError as error:
                raise BadInput("the cluster's SSH key cannot be read", hint="run `up` again") from error
        return self._read[0]


async def connect(
    target: Target,
    key: Credentials,
    *,
    timeout_s: float = 10,
    deadline_s: float = 30,
    via: asyncssh.SSHClientConnection | None = None,
    pace: Pace | None = None,
) -> asyncssh.SSHClientConnection:
    """An authenticated connection to `target`.

    One attempt may take `timeout_s`. While the port refuses, does not answer or drops the connection, it is tried
    again, with growing pauses, until `deadline_s` after the first attempt. `via` is an open connection to the jump
    host (else one is opened, and closed with this one); `pace` says when a handshake may begin.

    Raises HostKeyMismatch at once when another key answers, and Unreachable (`node_id`) when the node refuses the key
    or the deadline has passed.
    """
    if target.jump and via is None:
        via = await connect(target.jump, key, timeout_s=timeout_s, deadline_s=deadline_s, pace=pace)
        try:
            connection = await _persist(target, key, timeout_s, deadline_s, via, pace)
        except BaseException:  # also a cancellation must not leave the jump connection open
            via.abort()
            raise
        connection.set_tunnel(via)
        return connection
    return await _persist(target, key, timeout_s, deadline_s, via, pace)


def loss_reason(connection: asyncssh.SSHClientConnection) -> str:
    """Why a closed connection ended, in a few words."""
    return str(connection.get_extra_info("skyrig_loss") or "the connection was closed")


class _Refused(Exception):
    """An attempt that may succeed later: the node is starting, busy, or away."""


class _Watch(asyncssh.SSHClient):
    """Keeps the reason of a connection's end on the connection, for those who find it closed."""

    def __init__(self) -> None:
        self._connection: asyncssh.SSHClientConnection | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._connection = conn

    def silent(self) -> bool:
        """Whether the server has not said a word yet."""
        return self._connection is None or not self._connection.get_extra_info("server_version")

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and self._connection is not None:
            self._connection.set_extra_info(skyrig_loss=_reason(exc))


async def _persist(
    target: Target,
    key: Credentials,
    timeout_s: float,
    deadline_s: float,
    via: asyncssh.SSHClientConnection | None,
    pace: Pace | None,
) -> asyncssh.SSHClientConnection:
    watch = _Watch()
    options = _options(target, key, lambda: watch)
    pace = pace or Pace()
    door = pace.door((target.host, target.port, target.jump, target.proxy))
    attempts = AsyncRetrying(
        retry=retry_if_exception_type(_Refused),
        stop=stop_after_delay(deadline_s),
        wait=wait_random_exponential(multiplier=0.2, max=2),
        reraise=True,
    )
    try:
        async for attempt in attempts:
            with attempt:
                watch = _Watch()
                async with pace.turn(door, watch.silent):
                    return await _attempt(target, options, min(timeout_s, deadline_s), via, door)
    except _Refused as refusal:
        raise Unreachable(
            f"{target.where} does not answer: {refusal} (tried for {deadline_s:g} s)",
            node_id=target.id,
            hint="`status` shows whether it runs",
        ) from refusal
    raise AssertionError("tenacity ended without a result")


async def _attempt(
    target: Target,
    options: asyncssh.SSHClientConnectionOptions,
    timeout_s: float,
    via: asyncssh.SSHClientConnection | None,
    door: Door,
) -> asyncssh.SSHClientConnection:
    """One handshake. _Refused where another attempt makes sense."""
    try:
        async with timeout(timeout_s):
            opened = await asyncssh.connect(target.host, target.port, options=options, tunnel=via or (), config=None)
        door.went_well()
        return opened
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
        if isinstance(error, asyncssh.KeyExchangeFailed) and "host key" not in str(error):
            raise Unreachable(f"{target.where}: {_reason(error)}", node_id=target.id) from error
        raise HostKeyMismatch(
            f"{target.where} has another host key than the pinned one",
            hint="if the machine was replaced, run `up`; if not, somebody else answers there",
        ) from error
    except asyncssh.PermissionDenied as error:
        raise Unreachable(
            f"{target.where} refuses user {target.user} with the cluster's key",
            node_id=target.id,
            hint="run `up` to set the key again",
        ) from error
    except asyncio.TimeoutError as error:
        raise _Refused(f"no answer within {timeout_s:g} s") from error
    except (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError) as error:
        door.dropped()
        raise _Refused(_reason(error)) from error
    except (OSError, asyncssh.Error) as error:
        if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE):
            raise TooManyFiles("no file descriptor is left for an SSH connection", hint="see `ulimit -n`") from error
        raise _Refused(_reason(error)) from error


@cache
def _public(line: str) -> asyncssh.SSHKey:
    return asyncssh.import_public_key(line)


def _options(
    target: Target, key: Credentials, watch: Callable[[], asyncssh.SSHClient]
) -> asyncssh.SSHClientConnectionOptions:
    try:
        pinned = _public(target.host_key)
    except asyncssh.KeyImportError as error:
        raise BadInput(f"{target.where}: its pinned host key cannot be read", hint="run `up` again") from error
    return asyncssh.SSHClientConnectionOptions(
        config=None,
        username=target.user,
        client_keys=[key.key()],
        known_hosts=([pinned], [], []),
        server_host_key_algs=list(dict.fromkeys([*(name.decode() for name in pinned.sig_algorithms), *_KEY_KINDS])),
        encryption_algs=_CIPHERS,
        agent_path=None,
        preferred_auth=["publickey"],
        keepalive_interval=KEEPALIVE_S,
        keepalive_count_max=KEEPALIVES,
        client_factory=watch,
        proxy_command=list(target.proxy) or None,
    )


def _reason(error: Exception) -> str:
    """One line out of an exception of the network or of asyncssh."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = getattr(error, "reason", "") or str(error) or type(error).__name__
    return " ".join(str(text).split()).removesuffix(".")
