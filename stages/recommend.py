"""Write what the probe recommends into params.yaml; a command, not a pipeline stage.

Reads   results/remedies.json, params.yaml
Writes  params.yaml (its comments stay), unless --dry-run is given
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from counterweight.base.command import build_parser, run
from counterweight.base.errors import InputError
from counterweight.onboarding.params_file import apply_overlay, as_yaml, overlay


def main(argv: Sequence[str] | None = None) -> str:
    """Run the command."""
    parser = build_parser(__doc__)
    parser.add_argument("--recommendation", type=Path, default=Path("results/remedies.json"), metavar="PATH")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="PATH")
    parser.add_argument("--dry-run", action="store_true", help="print the changes, but do not write them")
    args = parser.parse_args(argv)
    try:
        summary = json.loads(args.recommendation.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{args.recommendation}: there is no such file. Run dvc repro probe first.") from None
    if args.dry_run:
        changes = overlay(args.params.read_text(encoding="utf-8"), summary["settings"], str(args.params))[1]
    else:
        changes = apply_overlay(args.params, summary["settings"])
    sys.stdout.write(f"{summary['sentence']}\n")
    sys.stdout.writelines(f"{name}: {as_yaml(old)} -> {as_yaml(new)}\n" for name, (old, new) in changes.items())
    verb = "would change" if args.dry_run else "changed"
    return f"{len(changes)} params {verb} in {args.params}. Next: dvc repro"


if __name__ == "__main__":
    run(main)
