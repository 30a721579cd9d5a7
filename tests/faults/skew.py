"""A wrong wall clock, as the processes of a node see it.

Linux gives a time namespace to monotonic clocks only, never to the wall clock, so a small library stands before the C
library in every program that starts in the node from then on (its /etc/ld.so.preload; the host's is untouched) and
adds an offset to the wall clock. The offset is read from a file at every call: a clock can jump while a job runs.
Programs that were running before keep their clock, and so does what asks the kernel without the C library.
"""

from __future__ import annotations

import struct
import subprocess
import tempfile
from pathlib import Path

from faults.fault import Fault
from faults.node import FaultyNode, need

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long offset(void) {
    static volatile long long *shared;
    if (!shared) {
        int file = open(OFFSET_FILE, O_RDONLY | O_CLOEXEC);
        if (file < 0) return 0;
        void *seen = mmap(0, sizeof *shared, PROT_READ, MAP_SHARED, file, 0);
        close(file);
        if (seen == MAP_FAILED) return 0;
        shared = seen;
    }
    return *shared;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec fine;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &fine)) return -1;
    now->tv_sec = fine.tv_sec;
    now->tv_usec = fine.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec fine;
    clock_gettime(CLOCK_REALTIME, &fine);
    if (out) *out = fine.tv_sec;
    return fine.tv_sec;
}
"""


class Skewed(Fault):
    """The wall clock of `node` is `seconds` ahead (behind where negative) for programs that start meanwhile. `jump`
    moves it while they run. Files keep the times that the kernel gives them."""

    def __init__(self, node: FaultyNode, seconds: int) -> None:
        super().__init__()
        self.node = node
        self.seconds = seconds
        self._offset = node.folder / "skew"  # the same path in the node; gone with it, for programs may still use it
        self._library = node.folder / "skew.so"

    def jump(self, seconds: int) -> None:
        """From now on the clock is this many seconds ahead."""
        self.seconds = seconds
        with self._offset.open("r+b") as file:
            file.write(struct.pack("=q", seconds))

    def _do(self) -> None:
        need("cc")
        self._offset.write_bytes(struct.pack("=q", self.seconds))
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "skew.c")
            source.write_text(_SOURCE)
            named = f'-DOFFSET_FILE="{self._offset}"'
            words = ["cc", "-shared", "-fPIC", "-O1", named, "-o", str(self._library), str(source), "-ldl"]
            subprocess.run(words, check=True, capture_output=True)
        self.node.seen_from_inside(Path("/etc/ld.so.preload")).write_text(f"{self._library}\n")

    def _undo(self) -> None:
        if self.node.server is not None:
            self.node.seen_from_inside(Path("/etc/ld.so.preload")).unlink(missing_ok=True)
        if self._offset.exists():
            self.jump(0)  # for those that have it loaded
