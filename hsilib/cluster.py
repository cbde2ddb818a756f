"""Tasks sent to a dask.distributed scheduler: two processes on this machine, or somebody's cluster."""

from __future__ import annotations

import logging
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

from hsilib.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

Task = TypeVar("Task")
Result = TypeVar("Result")

LOCAL_WORKERS = 2
CONNECT_SECONDS = 10
IN_FLIGHT = 512  # enough for hundreds of workers; a million tasks at once would swamp the scheduler


@contextmanager
def connect(scheduler: str) -> Iterator[Client]:
    """A client of ``scheduler``: ``local``, or an address such as ``tcp://host:8786``.

    ``local`` starts two worker processes of one thread each and stops them at the end. Dask sets
    ``OMP_NUM_THREADS=1`` for a worker unless the environment says otherwise.

    Raises
    ------
    InputError : distributed is not installed, or nobody answers at the address.
    """
    try:
        from distributed import Client, LocalCluster
        from distributed.comm.addressing import get_address_host_port
    except ImportError as error:
        raise InputError("--scheduler needs dask.distributed: pip install 'hsilib[dask]'.") from error
    with ExitStack() as stack:
        address = scheduler
        if scheduler == "local":
            # No dashboard: its port may be taken. No limit of memory: a worker near it would pause for good.
            quiet = {"dashboard_address": None, "memory_limit": 0, "silence_logs": logging.CRITICAL}
            cluster = stack.enter_context(LocalCluster(n_workers=LOCAL_WORKERS, threads_per_worker=1, **quiet))
            address = cluster.scheduler_address
        try:
            # A client that reached nobody hangs when Python ends, so a bare connection goes first.
            socket.create_connection(get_address_host_port(address), CONNECT_SECONDS).close()
            client = stack.enter_context(Client(address, timeout=CONNECT_SECONDS, set_as_default=False))
        except (OSError, ValueError) as error:
            raise InputError(
                f"--scheduler {scheduler}: no dask scheduler answers there ({error}); "
                "expected local or an address such as tcp://host:8786."
            ) from error
        yield client


def run_tasks(
    client: Client, function: Callable[[Task], Result], tasks: Sequence[Task]
) -> Iterator[tuple[Task, Result]]:
    """Run ``function`` on each task somewhere; yield ``(task, result)`` in order of completion.

    A task whose worker dies runs again on another one, so it must not matter if it is done twice. What a task
    raises is raised here. Then, or when the caller stops early, tasks that have not begun are cancelled.

    Raises
    ------
    InputError : a task's workers died one after the other, or the scheduler is gone.
    """
    from distributed import CancelledError, KilledWorker, as_completed

    group, waiting, running = f"hsilib-{uuid.uuid4().hex}", iter(enumerate(tasks)), {}
    completed = as_completed(loop=client.loop)

    def submit_next() -> None:
        for number, task in waiting:
            # Keys with a common first part are one group, which the scheduler keeps until a worker is free.
            future = client.submit(function, task, key=(group, number))
            running[future] = task
            completed.add(future)
            return

    try:
        for _ in range(IN_FLIGHT):
            submit_next()
        for future in completed:
            result = future.result()
            yield running.pop(future), result
            submit_next()
    except KilledWorker as error:
        raise InputError(
            f"the workers of one task died one after the other, most often for want of memory: {error}"
        ) from error
    except CancelledError as error:
        raise InputError("the dask scheduler is gone; the same command goes on when it is back.") from error
    finally:
        client.cancel(list(running))
