"""Errors that are the user's to mend, reported all together."""

from collections.abc import Sequence

SHOWN = 10


class InputError(Exception):
    """Something the user gave is wrong; the message says where, which rule, what was found and what to do.

    A stage turns it into exit code 1 without a traceback. Any other exception is a programming error and keeps its
    traceback.
    """


def raise_problems(problems: Sequence[str], what: str) -> None:
    """Raise one error that shows the first problems and their total; do nothing when there are none.

    Parameters
    ----------
    problems : sequence of str
        One sentence or two for each bad row or value: where, rule, found, fix.
    what : str
        What was checked; it opens the message.

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
    total = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
    lines = [f"{what}: {total}", *(f"  {problem}" for problem in problems[:SHOWN])]
    if len(problems) > SHOWN:
        lines.append(f"  ... and {len(problems) - SHOWN} more")
    raise InputError("\n".join(lines))
