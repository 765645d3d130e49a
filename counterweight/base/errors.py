"""Errors in the user's input, collected and reported together."""

from collections.abc import Sequence

MAX_SHOWN = 10


class InputError(Exception):
    """Error in the user's input or environment; the message says where, which rule, what was found and how to fix it.

    A stage logs the message without a traceback and exits with code 1. Any other exception is a programming error and
    keeps its traceback.
    """


def raise_problems(problems: Sequence[str], what: str) -> None:
    """Raise one error that lists the first `MAX_SHOWN` problems and their total; do nothing if there are none.

    Parameters
    ----------
    problems : sequence of str
        One or two sentences per invalid row or value: where, rule, found, fix.
    what : str
        What was checked; the message begins with it.

    Raises
    ------
    InputError
        If there is at least one problem.

    Examples
    --------
    >>> raise_problems([], "labels.xlsx")
    >>> raise_problems(["row 2: no label. Give one."], "labels.xlsx")
    Traceback (most recent call last):
        ...
    counterweight.base.errors.InputError: labels.xlsx: 1 problem
      row 2: no label. Give one.
    """
    if not problems:
        return
    total = f"{len(problems):,} problem" + ("s" if len(problems) > 1 else "")
    lines = [f"{what}: {total}", *(f"  {problem}" for problem in problems[:MAX_SHOWN])]
    if len(problems) > MAX_SHOWN:
        lines.append(f"  ... and {len(problems) - MAX_SHOWN:,} more")
    raise InputError("\n".join(lines))


def name_some(names: Sequence[str], limit: int = 3) -> str:
    """Name the first few, and count the others.

    Examples
    --------
    >>> name_some(["sea", "ice"]), name_some(["sea", "ice", "fog", "sky", "sun"])
    ('sea, ice', 'sea, ice, fog and 2 more')
    """
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more:,} more" if more > 0 else "")
