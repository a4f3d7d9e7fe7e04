"""Checkpoint to ONNX, for those who start programs by their file: same options as ``styletransfer export``."""

import sys

from styletransfer.cli.app import main

if __name__ == "__main__":
    main(["export", *sys.argv[1:]])
