"""`python -m switch` is `tapswitch`."""

import sys

__all__ = ["main"]

EXIT_INTERRUPTED = 130


def main() -> None:
    """The command line. Ctrl-C ends it with 130 also while its modules are still being loaded."""
    try:
        from switch.cli import main as command

        command()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
