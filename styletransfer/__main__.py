"""``python -m styletransfer``."""

from styletransfer.cli.app import main

if __name__ == "__main__":
    main()
