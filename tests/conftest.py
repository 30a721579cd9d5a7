"""What all tests share: children must not inherit that the caller of pytest ignores a signal (nohup, a shell's `&`)."""

from __future__ import annotations

import signal

for _number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)
