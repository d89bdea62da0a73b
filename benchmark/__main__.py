"""``python -m benchmark``, and the command ``nnp-bench``."""

import sys


def main() -> None:
    """Run the command line; an interrupt while it is still being loaded is as clean as later ones."""
    try:
        from benchmark.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
