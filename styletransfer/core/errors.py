"""Every error that the package raises on purpose.

    StyleTransferError
    ├── InputError            a picture, video, painting or folder that cannot be used
    ├── OutputError           a result that cannot be written (permission, full disk, unknown format)
    ├── ModelError            a file that is no style model, or one that this version cannot run
    ├── ProviderError         an execution provider that was asked for and is not there
    ├── CameraError           a camera that cannot be opened or is gone
    ├── SettingsError         a setting outside its range (``ValueError`` too)
    ├── MissingExtraError     an optional dependency that is not installed (``ImportError`` too)
    ├── ClusterError          a Ray cluster that cannot be reached, or whose machines do not fit
    ├── DownloadError         a download that failed or whose hash is wrong
    ├── CheckpointError       a checkpoint that is damaged or belongs to other settings
    ├── ExportError           an exported file that does not equal the network
    ├── DivergedError         a training whose loss is no longer a finite number
    └── StoppedError          work that Ctrl-C ended after saving where it stands

A message says what was received, what is allowed and what to do, in one line.
"""


class StyleTransferError(Exception):
    """Base of every error below; the command line prints it as one line and exits with 1."""


class InputError(StyleTransferError):
    """A picture, video, painting or folder that cannot be used."""


class OutputError(StyleTransferError):
    """A result that cannot be written."""


class ModelError(StyleTransferError):
    """A file that is no style model, or one that this version cannot run."""


class ProviderError(StyleTransferError):
    """An execution provider that was asked for and does not load."""


class CameraError(StyleTransferError):
    """A camera that cannot be opened, or that is gone."""


class SettingsError(StyleTransferError, ValueError):
    """A setting outside its range."""


class MissingExtraError(StyleTransferError, ImportError):
    """An optional dependency that is not installed.

    Args:
        package: import name of what is missing.
        extra: the extra of this project that installs it.
        why: what it is needed for, as it completes "... is needed to ...".
    """

    def __init__(self, package: str, extra: str, why: str) -> None:
        super().__init__(f"{package} is needed to {why} and is not installed: pip install 'styletransfer[{extra}]'")


class ClusterError(StyleTransferError):
    """A Ray cluster that cannot be reached, whose machines do not fit, or that lost them too often."""


class DownloadError(StyleTransferError):
    """A download that failed, or whose hash is not the expected one."""


class CheckpointError(StyleTransferError):
    """A checkpoint that is damaged or belongs to other settings."""


class ExportError(StyleTransferError):
    """An exported file whose output differs from the network's."""


class DivergedError(StyleTransferError):
    """A training whose loss is no longer a finite number."""


class StoppedError(StyleTransferError):
    """Work that Ctrl-C ended after saving where it stands; the message says how to go on."""
