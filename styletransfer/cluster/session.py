"""A connection to a Ray cluster: checked before the work, quiet while it lasts, and one line where it fails.

Ray by itself retries for minutes, prints what its parts log, and takes over the process's signals.
"""

# Over 300 lines: every call of Ray in one place, with what each can fail with.

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from styletransfer.core.errors import ClusterError, MissingExtraError
from styletransfer.core.interrupts import SIGNALS

LOCAL = "local"
"""The address that stands for a Ray of one's own on this machine."""

_TCP_TIMEOUT_S = 5.0
_JOIN_TIMEOUT_S = 45.0
_CHECK_TIMEOUT_S = 60.0
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


class LostWorkerError(Exception):
    """The machine or process that did a task is gone; the task may be given to another."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Attributes:
        address: its IP address.
        cpus: that Ray gives to tasks there.
        gpus: likewise.
        providers: onnxruntime's execution providers there, our short names.
    """

    address: str
    cpus: float
    gpus: float
    providers: tuple[str, ...]


class Session:
    """An open connection. Safe to use from several threads.

    Attributes:
        nodes: the machines, as they were at the start.
        lost: how many tasks were lost with their machines or processes.
    """

    def __init__(self, nodes: tuple[Node, ...], uses_gpus: bool) -> None:
        self.nodes = nodes
        self.uses_gpus = uses_gpus
        self.lost = 0
        self._mutex = threading.Lock()
        self._remote: dict[Any, Any] = {}

    @property
    def slots(self) -> int:
        """How many tasks run at the same time."""
        return max(1, int(sum(node.gpus if self.uses_gpus else node.cpus for node in self.nodes)))

    def put(self, data: bytes) -> Any:
        """A reference to data in the object store, which every machine can fetch."""
        import ray

        return ray.put(data)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Queue a call of an importable function; a reference to its result."""
        import ray

        with self._mutex:
            if function not in self._remote:
                # Lost tasks are submitted again by who waits for them: Ray would do so without a word or a limit.
                self._remote[function] = ray.remote(max_retries=0, num_cpus=1, num_gpus=int(self.uses_gpus))(function)
            return self._remote[function].remote(*arguments)

    def wait(self, references: list[Any], timeout_s: float) -> list[Any]:
        """Those references whose results are there, after at most so many seconds."""
        import ray

        with _explained():
            done, _ = ray.wait(references, num_returns=1, timeout=timeout_s, fetch_local=False)
        return list(done)

    def result(self, reference: Any) -> Any:
        """The result of a finished task.

        Raises:
            LostWorkerError: its worker is gone, or what it made.
            ClusterError: anything else that is not the task's own doing.
        """
        import ray
        from ray import exceptions

        lost = (
            exceptions.WorkerCrashedError,
            exceptions.NodeDiedError,
            exceptions.LocalRayletDiedError,
            exceptions.OutOfMemoryError,
            exceptions.ObjectLostError,
            exceptions.ObjectReconstructionFailedError,
        )
        try:
            with _explained():
                return ray.get(reference)
        except lost as error:
            with self._mutex:
                self.lost += 1
            raise LostWorkerError(_first_line(error)) from error

    def look(self) -> None:
        """See that there is still somebody to wait for.

        Raises:
            ClusterError: no machine is left.
        """
        import ray

        with _explained():
            alive = [node for node in ray.nodes() if node["Alive"]]
        if not any(node["Resources"].get("GPU" if self.uses_gpus else "CPU", 0) >= 1 for node in alive):
            raise ClusterError("no Ray machine is left to work; start others and run the same command again to go on")

    def cancel(self, references: list[Any]) -> None:
        """Stop tasks, whether they run or wait."""
        import ray

        for reference in references:
            with contextlib.suppress(Exception):  # gone already, with the cluster or without
                ray.cancel(reference, force=True)


@contextlib.contextmanager
def connect(address: str, version: str, provider: str, cpus: int) -> Iterator[tuple[Session, str]]:
    """Connect, and see that every machine can do the work.

    Args:
        address: ``local`` starts a Ray on this machine for as long as the block lasts; else as ``ray.init`` takes
            it: ``auto``, ``10.0.0.5:6379``, ``ray://10.0.0.5:10001``.
        version: of this package, which every machine must have.
        provider: the execution provider that is asked for.
        cpus: that a local Ray may use.

    Yields:
        The session, and the provider that every task takes: ``auto`` is decided once for all of them.

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: nobody answers there, or a machine lacks the package or has another version.
    """
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "cluster", "work on several machines") from error
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    with contextlib.suppress(AttributeError):
        # What a dying machine has logged would come to the terminal all the same; there is no public switch for it.
        ray._private.worker._worker_logs_enabled = False
    _check_port(address)
    try:
        with _own_signals():
            _join(address, cpus)
            nodes = _checked_nodes(address, version)
        chosen, uses_gpus = _choose(provider, nodes)
        yield Session(nodes, uses_gpus), chosen
    finally:
        with contextlib.suppress(Exception):
            ray.shutdown()


def _check_port(address: str) -> None:
    """Knock where Ray should be; it would wait for minutes itself."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address in (LOCAL, "auto"):
        return
    if not host or not port.isdecimal():
        raise ClusterError(
            f"--ray is {address!r}; it is `local`, `auto`, the head's address as 10.0.0.5:6379, or ray://10.0.0.5:10001"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _TCP_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, str(getattr(error, "strerror", None) or error)) from error


def _unreachable(address: str, reason: str) -> ClusterError:
    return ClusterError(
        f"--ray {address}: no Ray cluster answers there ({reason}); start one with `ray start --head`, see its address "
        "with `ray status`, or use --ray local"
    )


def _join(address: str, cpus: int) -> None:
    """``ray.init`` with a time limit."""
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": True, "logging_level": "CRITICAL"}
    if address == LOCAL:
        options |= {"num_cpus": cpus, "include_dashboard": False}
    errors: list[BaseException] = []

    def work() -> None:
        try:
            ray.init(address=address, **options)
        except BaseException as error:  # SystemExit among them
            errors.append(error)

    if address == LOCAL:
        work()  # not in a thread: on Linux the processes that it starts die with the thread that started them
    else:
        thread = threading.Thread(target=work, daemon=True, name="ray-init")
        thread.start()
        thread.join(_JOIN_TIMEOUT_S)
        if thread.is_alive():
            raise _unreachable(address, f"nothing within {_JOIN_TIMEOUT_S:.0f} seconds")
    if not errors:
        return
    reason = _first_line(errors[0])
    if address == LOCAL:
        raise ClusterError(f"--ray local: Ray does not start on this machine ({reason})") from errors[0]
    raise _unreachable(address, reason) from errors[0]


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Leave Ctrl-C and its like to whom they belonged before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _checked_nodes(address: str, version: str) -> tuple[Node, ...]:
    """All machines that live; one without the package, or with another version, is an error."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def look() -> tuple[str, str, tuple[str, ...]]:
        # Travels as code, because a reference to this module means nothing where the package is missing.
        try:
            import styletransfer
            from styletransfer.runtime.providers import available

            return styletransfer.__version__, "", tuple(available())
        except ImportError as error:
            return "", str(error), ()

    alive = [node for node in ray.nodes() if node["Alive"]]
    remote = ray.remote(max_retries=0, num_cpus=0)(look)
    references = {
        node["NodeID"]: remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        for node in alive
    }
    asked = {name: options.remote() for name, options in references.items()}
    _, late = ray.wait(list(asked.values()), num_returns=len(asked), timeout=_CHECK_TIMEOUT_S)
    nodes = []
    for entry in alive:
        place = entry["NodeManagerAddress"]
        if asked[entry["NodeID"]] in late:
            raise ClusterError(f"--ray {address}: {place} starts no work within {_CHECK_TIMEOUT_S:.0f} seconds")
        try:
            with _explained():
                found, missing, providers = ray.get(asked[entry["NodeID"]])
        except Exception as error:
            raise ClusterError(f"--ray {address}: {place} cannot work ({_first_line(error)})") from error
        if missing or found != version:
            has = f"cannot import styletransfer ({missing})" if missing else f"has styletransfer {found}, not {version}"
            raise ClusterError(
                f"--ray {address}: {place} {has}; there: pip install 'styletransfer[cpu,cluster]=={version}'"
            )
        resources = entry["Resources"]
        nodes.append(Node(place, resources.get("CPU", 0.0), resources.get("GPU", 0.0), providers))
    if not sum(node.cpus for node in nodes):
        raise ClusterError(f"--ray {address}: none of its {len(nodes)} machines offers a CPU to tasks")
    return tuple(nodes)


def _choose(provider: str, nodes: tuple[Node, ...]) -> tuple[str, bool]:
    """The provider of all tasks, and whether each takes a graphics card: segments of a clip have to look alike."""
    with_gpu = [node for node in nodes if node.gpus]
    if provider == "auto":
        provider = "cuda" if with_gpu and all("cuda" in node.providers for node in with_gpu) else "cpu"
    uses_gpus = provider in ("cuda", "tensorrt")
    if uses_gpus and not with_gpu:
        raise ClusterError(f"--provider {provider}: none of the {len(nodes)} Ray machines has a GPU that Ray knows")
    return provider, uses_gpus


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """One line for what Ray itself cannot do; what says that a worker is lost passes."""
    from ray import exceptions

    try:
        yield
    except exceptions.RayTaskError as error:
        cause = getattr(error, "cause", None) or error
        raise ClusterError(f"a Ray worker failed ({type(cause).__name__}: {_first_line(cause)})") from error
    except (exceptions.RaySystemError, exceptions.TaskUnschedulableError, exceptions.OwnerDiedError) as error:
        raise ClusterError(f"the Ray cluster failed ({_first_line(error)})") from error
    except (ConnectionError, exceptions.GetTimeoutError) as error:
        raise ClusterError(f"the connection to the Ray cluster is lost ({_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300].rstrip(".")
