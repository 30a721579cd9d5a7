"""One SSH session on a local node: a command, a login shell, sftp or scp, as stock sshd would run it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skyrig.fleet.local.children import Children
from skyrig.fleet.local.terminals import Terminals
from skyrig.fleet.ssh import SSHChannel, SSHServerStreamSession, asyncssh

_READ_LIMIT = 256 * 1024
_TERMINAL_DRAIN_S = 1.0


class _FileServer(asyncssh.SFTPServer):
    """asyncssh's own, and the two things that OpenSSH's scp wants beyond it: an exit status when all is done, without
    which it takes the copy for failed, and `~`, which it leaves to the far side's shell where it does not use sftp."""

    def map_path(self, path: bytes) -> bytes:
        """Where a path is on this machine; a relative one is below the home folder, in which the server runs."""
        home, _, rest = path.partition(b"/")
        return super().map_path((rest.lstrip(b"/") or b".") if home == b"~" and not self._is_sftp else path)

    def exit(self) -> None:
        """The client has what it wanted."""
        if self._is_sftp:
            with contextlib.suppress(OSError):  # it is gone already
                self.channel.exit(0)

    @property
    def _is_sftp(self) -> bool:
        return self.channel.get_subsystem() == "sftp"


def _file_server(channel: SSHChannel[bytes]) -> asyncssh.SFTPServer:
    assert isinstance(channel, asyncssh.SSHServerChannel)
    return _FileServer(channel)


class _Output(asyncio.Protocol):
    """Carries one output of the process to the channel."""

    def __init__(self, session: NodeSession, datatype: int | None) -> None:
        self.transport: asyncio.ReadTransport | None = None
        self.ended = asyncio.get_running_loop().create_future()
        self._session = session
        self._datatype = datatype

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.ReadTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._session.output(data, self._datatype)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class _Input(asyncio.BaseProtocol):
    """Holds the client back while the process does not read."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = channel

    def pause_writing(self) -> None:
        self._channel.pause_reading()

    def resume_writing(self) -> None:
        # Not at once: the transport calls this in the midst of its own bookkeeping, and would lose what is written
        # to it now if the end of file came along with it.
        asyncio.get_running_loop().call_soon(self._channel.resume_reading)


class NodeSession(SSHServerStreamSession[bytes]):
    """A session: sftp and scp are asyncssh's own, all else is a process of the node's user.

    The process is a session leader with the node's environment in the home folder. It is not ended when the
    connection breaks: it sees end of file, a broken pipe or a hang-up, as under sshd.
    """

    def __init__(self, children: Children, terminals: Terminals, environment: Mapping[str, str]) -> None:
        super().__init__(None, _file_server, sftp_version=3, allow_scp=True)
        self._children = children
        self._terminals = terminals
        self._environment = dict(environment)
        self._pid: int | None = None
        self._outputs: list[_Output] = []
        self._stdin: asyncio.WriteTransport | None = None
        self._early: list[bytes] | None = []
        self._early_eof = False
        self._terminal: int | None = None
        self._paused = False
        self._closed = False
        self._counted = False

    def shell_requested(self) -> bool:
        """A login shell may be asked for."""
        return True

    def exec_requested(self, command: str) -> bool:
        """Any command may be asked for."""
        return True

    def session_started(self) -> None:
        """Start what was asked for."""
        channel = self._channel
        command = channel.get_command()
        if channel.get_subsystem() == "sftp" or (command and command.startswith("scp ")):
            self._early = None
            super().session_started()
        else:
            self._conn.create_task(self._run(command))  # type: ignore[union-attr]

    @property
    def _channel(self) -> asyncssh.SSHServerChannel[bytes]:
        assert isinstance(self._chan, asyncssh.SSHServerChannel)
        return self._chan

    async def _run(self, command: str | None) -> None:
        try:
            ended = await self._start(command)
        except OSError as error:
            self._channel.write(f"cannot start: {error}\n".encode(), asyncssh.EXTENDED_DATA_STDERR)
            self._channel.exit(126)
            return
        code = await ended
        outputs = [output.ended for output in self._outputs]
        await asyncio.wait(outputs, timeout=_TERMINAL_DRAIN_S if self._terminal is not None else None)
        if self._stdin is not None:
            self._stdin.close()
        for output in self._outputs:
            if output.transport is not None:
                output.transport.close()
        if self._closed:
            return
        if code < 0:
            self._channel.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
        else:
            self._channel.exit(code)

    async def _start(self, command: str | None) -> asyncio.Future[int]:
        shell = self._environment["SHELL"]
        login = f"-{Path(shell).name}"
        argv = [shell, "-c", command] if command is not None else [login]
        options: dict[str, Any] = {"executable": shell, "env": self._environment, "cwd": self._environment["HOME"]}
        start = self._start_piped if self._channel.get_terminal_type() is None else self._start_on_terminal
        ended = await start(argv, options)
        if self._closed:
            self._hang_up()  # the connection broke meanwhile, when there was nothing to hang up yet
            return ended
        early, self._early = self._early or [], None
        for data in early:
            self.data_received(data, None)
        if self._early_eof:
            self.eof_received()
        return ended

    async def _start_piped(self, argv: list[str], options: dict[str, Any]) -> asyncio.Future[int]:
        pipes = [os.pipe(), os.pipe(), os.pipe()]
        (stdin, to_process), (from_stdout, stdout), (from_stderr, stderr) = pipes
        try:
            self._pid, ended = self._children.start(argv, stdin=stdin, stdout=stdout, stderr=stderr, **options)
        except OSError:
            for descriptor in (to_process, from_stdout, from_stderr):
                os.close(descriptor)
            raise
        finally:
            for descriptor in (stdin, stdout, stderr):
                os.close(descriptor)
        await self._connect(to_process, [(from_stdout, None), (from_stderr, asyncssh.EXTENDED_DATA_STDERR)])
        return ended

    async def _start_on_terminal(self, argv: list[str], options: dict[str, Any]) -> asyncio.Future[int]:
        master, slave = os.openpty()
        self._terminal = master
        self.terminal_size_changed(*self._channel.get_terminal_size())
        options["env"] = {
            **self._environment,
            "TERM": self._channel.get_terminal_type() or "dumb",
            "SSH_TTY": os.ttyname(slave),
        }

        def control_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        try:
            self._pid, ended = self._children.start(
                argv, stdin=slave, stdout=slave, stderr=slave, preexec_fn=control_terminal, **options
            )
        except OSError:
            os.close(master)
            raise
        finally:
            os.close(slave)
        self._counted = not self._closed
        if self._counted:
            self._terminals.opened()
        await self._connect(os.dup(master), [(master, None)])
        return ended

    async def _connect(self, to_process: int, from_process: list[tuple[int, int | None]]) -> None:
        loop = asyncio.get_running_loop()
        self._stdin, _ = await loop.connect_write_pipe(
            lambda: _Input(self._channel), os.fdopen(to_process, "wb", buffering=0)
        )
        for descriptor, datatype in from_process:
            output = _Output(self, datatype)
            self._outputs.append(output)
            transport, _ = await loop.connect_read_pipe(
                lambda output=output: output,  # type: ignore[misc]
                os.fdopen(descriptor, "rb", buffering=0),
            )
            if self._paused and not transport.is_closing():
                transport.pause_reading()

    def output(self, data: bytes, datatype: int | None) -> None:
        """Send output of the process to the client, if it is still there."""
        if not self._closed:
            with contextlib.suppress(BrokenPipeError, OSError):
                self._channel.write(data, datatype)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Input from the client."""
        if self._pid is None and self._early is None:
            super().data_received(data, datatype)
        elif self._early is not None:
            self._early.append(data)
        elif self._stdin is not None and not self._stdin.is_closing():
            self._stdin.write(data)

    def eof_received(self) -> bool:
        """The client will send no more; it still wants output and exit code."""
        if self._pid is None and self._early is None:
            return super().eof_received()
        if self._early is not None:
            self._early_eof = True
        elif self._stdin is not None and self._terminal is None and not self._stdin.is_closing():
            self._stdin.write_eof()  # a terminal stays open, as under sshd
        return True

    def pause_writing(self) -> None:
        """The client takes no more for now: leave the output in the pipe, so that the process waits."""
        super().pause_writing()
        self._paused = True
        for output in self._outputs:
            if output.transport is not None and not output.transport.is_closing():
                output.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client takes output again."""
        super().resume_writing()
        self._paused = False
        for output in self._outputs:
            if output.transport is not None and not output.transport.is_closing():
                output.transport.resume_reading()

    def signal_received(self, name: str) -> None:
        """Pass a signal to the process and those of its group."""
        number = getattr(signal, f"SIG{name}", None)
        if self._pid is not None and number is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, number)

    def break_received(self, msec: int) -> bool:
        """A break is an interrupt."""
        self.signal_received("INT")
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """Tell the terminal its new size."""
        if self._terminal is not None:
            size = struct.pack("HHHH", height, width, pixwidth, pixheight)
            with contextlib.suppress(OSError):  # closed meanwhile
                fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: the process finds its pipes closed, or its terminal hung up."""
        super().connection_lost(exc)
        self._closed = True
        if self._counted:
            self._counted = False
            self._terminals.closed()
        self._hang_up()

    def _hang_up(self) -> None:
        if self._stdin is not None and not self._stdin.is_closing():
            self._stdin.abort()
        for output in self._outputs:
            if output.transport is not None:
                output.transport.close()
