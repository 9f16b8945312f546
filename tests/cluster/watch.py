"""Waiting for what another process does to a folder, without looking again and again."""

import ctypes
import os
import select
import time


class NameWatch:
    """Tells when a file appears in a folder (inotify)."""

    IN_CREATE = 0x100

    def __init__(self, folder):
        libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = libc.inotify_init1(os.O_CLOEXEC)
        if libc.inotify_add_watch(self.descriptor, folder.encode(), self.IN_CREATE) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch")

    def wait(self, prefix, timeout=60):
        """Whether a file whose name begins so has appeared since the watch began."""
        deadline = time.monotonic() + timeout
        while select.select([self.descriptor], [], [], max(0, deadline - time.monotonic()))[0]:
            if prefix.encode() in os.read(self.descriptor, 65536):
                return True
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.descriptor)
