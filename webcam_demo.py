"""The webcam window, for those who start programs by their file: same options as ``styletransfer webcam``."""

import sys

from styletransfer.cli.app import main

if __name__ == "__main__":
    main(["webcam", *sys.argv[1:]])
