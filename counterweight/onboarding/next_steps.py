"""What to do after init, and roughly how long that takes."""

from math import ceil

# What `dvc repro` with init's params takes for photographs on two cores without a GPU: seconds for any number of them,
# for the start of the stages and the comparison of remedies, whose sample is limited; and seconds per image.
_SECONDS, _PER_IMAGE, _CORES = 110.0, 0.055, 2


def next_steps(images: int, networks: int, cores: int) -> list[str]:
    r"""Return three lines: the next command, its time, and where its result is.

    Parameters
    ----------
    images, networks : int
        Numbers of images that have a row, and of networks to train.
    cores : int
        Processes that work at a time.

    Examples
    --------
    >>> print("\n".join(next_steps(1436, 4, 2)))
    next: dvc repro resizes 1,436 images, shows what is wrong with them, compares remedies and trains 4 networks
    time: about 4 minutes on 2 cores; a GPU shortens all but the resizing
    then: open results/report.html
    """
    seconds = (_SECONDS + _PER_IMAGE * images) * _CORES / cores
    return [
        f"next: dvc repro resizes {images:,} images, shows what is wrong with them, compares remedies and trains "
        f"{networks} networks",
        f"time: about {duration(seconds)} on {cores} cores; a GPU shortens all but the resizing",
        "then: open results/report.html",
    ]


def duration(seconds: float) -> str:
    """Write a rough time in minutes or, from 90 of them on, hours.

    Examples
    --------
    >>> duration(20), duration(200), duration(5400), duration(100_000)
    ('1 minute', '4 minutes', '2 hours', '28 hours')
    """
    number, unit = (ceil(seconds / 60), "minute") if seconds < 90 * 60 else (ceil(seconds / 3600), "hour")
    return f"{number} {unit}" + "s" * (number > 1)
