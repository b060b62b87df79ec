"""cheroot's worker threads: daemons, on one CPU if asked, that a stop can cut loose."""

import logging
import os
import queue
import time
from typing import Any

from cheroot.workers.threadpool import (  # type: ignore[attr-defined]
    _SHUTDOWNREQUEST,
    ThreadPool,
    WorkerThread,
)

_log = logging.getLogger(__name__)

CUT_S = 5.0
"""What a thread whose connection was cut is given to come back."""


def one_cpu() -> frozenset[int] | None:
    """The CPU on which this process's HTTP threads stay; None where that cannot be asked."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    # Several gateways on one machine should not choose the same.
    return frozenset({allowed[os.getpid() % len(allowed)]})


def stay_on(cpus: frozenset[int] | None) -> None:
    """Keep the calling thread, and threads that it starts, on `cpus`."""
    if cpus is not None:
        os.sched_setaffinity(0, cpus)


class Worker(WorkerThread):
    """Serves one connection after the other."""

    def __init__(self, server: Any, cpus: frozenset[int] | None) -> None:
        super().__init__(server)  # type: ignore[no-untyped-call]
        self._cpus = cpus
        # What was answered is kept: the process may end while a client is still served.
        self.daemon = True

    def run(self) -> None:
        stay_on(self._cpus)
        super().run()


class Workers(ThreadPool):
    """A fixed number of workers. Whoever puts work sees to it that one is free."""

    _threads: list[WorkerThread]

    def __init__(self, server: Any, count: int, cpus: frozenset[int] | None) -> None:
        super().__init__(server, min=count, max=count)
        self._cpus = cpus
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.get = self._queue.get

    def put(self, obj: Any) -> None:
        """Give a connection to a worker that is free."""
        self._queue.put(obj)

    def finish(self, grace_s: float) -> None:
        """Let the workers end what they do; cut it after `grace_s`."""
        for _ in self._threads:
            self._queue.put(_SHUTDOWNREQUEST)
        if not self._joined(grace_s):
            for worker in self._threads:
                connection = worker.conn
                if connection is not None:
                    connection.cut()
            if not self._joined(CUT_S):
                _log.warning("%d requests go on after the stop", self._alive())

    def _joined(self, within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        for worker in self._threads:
            worker.join(max(deadline - time.monotonic(), 0))
        return not self._alive()

    def _alive(self) -> int:
        return sum(worker.is_alive() for worker in self._threads)

    def _spawn_worker(self) -> Worker:
        worker = Worker(self.server, self._cpus)
        worker.name = f"http-{worker.name}"
        worker.start()
        return worker
