"""Batches on several machines, with a Dask scheduler."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from counterweight.base.errors import InputError
from counterweight.runtime.parallel import use_executor

# Seconds to wait for the scheduler, and for its first worker.
TIMEOUT = 30


@contextmanager
def dask_workers(environment: Mapping[str, str], workers: int) -> Iterator[int]:
    """Run the batches of `counterweight.runtime.parallel` on the workers of a Dask scheduler.

    The workers must be started in the project's folder, under the same path as here.

    Parameters
    ----------
    environment : mapping of str to str
        ``COUNTERWEIGHT_SCHEDULER`` is the scheduler's address, such as ``tcp://host:8786``; without it, this machine
        runs the batches.
    workers : int
        Number of processes on this machine; 0 if it does the work in another way.

    Yields
    ------
    int
        Number of batches that run at a time: the workers of the scheduler, or without one ``workers``.

    Raises
    ------
    InputError
        If Dask is not installed, the scheduler or its workers do not answer, or a worker runs in another folder.
    """
    address = environment.get("COUNTERWEIGHT_SCHEDULER")
    if not address:
        yield workers
        return
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "environment: COUNTERWEIGHT_SCHEDULER is set, but Dask is not installed. Run make cluster, or unset it."
        ) from None
    try:
        client = Client(address, timeout=TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"environment: no scheduler answers at COUNTERWEIGHT_SCHEDULER={address} ({error}). Start it."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=TIMEOUT)
        except TimeoutError:
            raise InputError(f"environment: the scheduler at {address} has no worker. Start one.") from None
        here = Path.cwd()
        for worker, folder in client.run(Path.cwd).items():
            if folder != here:
                raise InputError(f"environment: worker {worker} runs in {folder}. Start it in {here}.")
        # Not joblib's backend for Dask, which waits forever for a batch that kills its workers.
        with use_executor(client.get_executor(pure=False), lambda function: client.run(function).values()):
            yield sum(client.nthreads().values())
