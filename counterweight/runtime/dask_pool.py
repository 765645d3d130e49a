"""Work on more than one machine: batches on a Dask scheduler, where one is named."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from counterweight.base.errors import InputError
from counterweight.runtime.parallel import done_by

# Seconds until a scheduler that does not answer, or has no worker, is an error.
PATIENCE = 30


@contextmanager
def scheduled(environment: Mapping[str, str], workers: int) -> Iterator[int]:
    """Let what `counterweight.runtime.parallel` does in here be done by the workers of a scheduler.

    They must see the project's folder under the same path, and be started in it.

    Parameters
    ----------
    environment : mapping of str to str
        ``COUNTERWEIGHT_SCHEDULER`` is the scheduler's address, such as ``tcp://host:8786``; without it all is done on
        this machine.
    workers : int
        Processes on this machine.

    Yields
    ------
    int
        How many batches are done at a time.

    Raises
    ------
    InputError
        If Dask is not installed, no scheduler or worker answers, or a worker is in another folder.
    """
    address = environment.get("COUNTERWEIGHT_SCHEDULER")
    if not address:
        yield workers
        return
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "environment: COUNTERWEIGHT_SCHEDULER is set, and Dask is not installed. Run make cluster, or unset it."
        ) from None
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"environment: no scheduler answers at COUNTERWEIGHT_SCHEDULER={address} ({error}). Start it."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise InputError(f"environment: the scheduler at {address} has no worker. Start some.") from None
        here = Path.cwd()
        for worker, folder in client.run(Path.cwd).items():
            if folder != here:
                raise InputError(f"environment: the worker {worker} is in {folder}. Start it in {here}.")
        # Dask's executor and not joblib's backend for Dask, which waits for ever for a batch that kills its workers.
        with done_by(client.get_executor(pure=False)):
            yield sum(client.nthreads().values())
