"""`inpaint`, `python -m inpaint_cli`, `torchrun --nproc-per-node 2 -m inpaint_cli infer ...`."""

import sys


def run() -> None:
    """Run the command line; Ctrl-C ends it with 130 from its first moment."""
    try:
        from .cli import main
    except KeyboardInterrupt:
        sys.exit(130)
    main(prog_name="inpaint")


if __name__ == "__main__":  # worker processes import this too
    run()
