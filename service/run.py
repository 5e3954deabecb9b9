"""Run the processes: API and Triton together, or either alone."""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable
from functools import partial

import uvicorn
from fastapi import FastAPI

from service.app import Surroundings, create_app
from service.connections import Connections, room_for_connections
from service.control import control_socket
from service.drain import Drain
from service.ending import DrainingServer, Terminated, signals_raise
from service.errors import ServeError
from service.guarded_protocol import guarded
from service.hosted import HostedTriton
from service.logs import tell
from service.settings import Settings
from service.trace import Tracing
from service.tracing_start import tracing
from service.triton.loader import VersionLoader
from service.triton.ports import require_loopback
from service.triton.reasons import stands_in
from service.triton.server import EmbeddedTriton

log = logging.getLogger("sub50.run")
WATCH_SECONDS = 0.2
# Requests under way may finish once the listener is closed; bulk ones that take longer are cut off.
FINISH_SECONDS = 10
CUT_OFF_STATUS = 128
SEND_BUFFER_BYTES = 128 * 1024


def run_stack(settings: Settings) -> int:
    """Run Triton and the API until a signal; a Triton that ends or hangs is started anew.

    Returns the exit status.

    Raises:
        ServeError: one of the two cannot start; nothing is left running.
    """
    with (
        signals_raise(),
        tracing() as traced,
        listen(settings) as listener,
        control_socket(settings.repository) as control,
    ):
        triton = EmbeddedTriton(
            settings.repository,
            metrics_port=settings.triton_metrics_port,
            start_timeout_seconds=settings.triton_start_seconds,
            niceness=settings.triton_niceness,
            may_stand_in=True,
        )
        _say(settings, f"starting Triton with {', '.join(triton.configured.names)} …")
        try:
            with triton:
                for model, reason in triton.configured.stand_ins.items():
                    _say(settings, stands_in(model, reason))
                return _serve(settings, triton.grpc_target, listener, triton, control, traced)
        except Terminated:
            return 0
        finally:
            _say(settings, "stopped")


def run_api(settings: Settings, target: str) -> int:
    """Run the API alone until a signal.

    Raises:
        ServeError: it cannot start.
    """
    with signals_raise(), tracing() as traced, listen(settings) as listener:
        try:
            return _serve(settings, target, listener, tracing=traced)
        except Terminated:
            return 0


def run_triton(
    settings: Settings,
    grpc_port: int,
    metrics_port: int,
    address: str,
    connection_age_seconds: float,
) -> int:
    """Run the embedded Triton alone until a signal, or until it ends by itself.

    `address` is one of loopback. Clients connect again after `connection_age_seconds`; 0 is never.

    Raises:
        ServeError: it cannot start.
    """
    require_loopback(address, "--host")
    with signals_raise():
        try:
            with EmbeddedTriton(
                settings.repository,
                grpc_port=grpc_port,
                metrics_port=metrics_port,
                address=address,
                connection_age_seconds=connection_age_seconds or None,
                start_timeout_seconds=settings.triton_start_seconds,
            ) as triton:
                _say(settings, f"Triton answers gRPC on {triton.grpc_target}")
                _say(settings, f"its metrics are at {triton.metrics_url}")
                while triton.alive:
                    time.sleep(WATCH_SECONDS)
                # Whoever started this starts it again: services in front find the new one.
                tail = triton.log_end()
                raise ServeError(
                    f"Triton ended by itself, so this stops too. The end of its log:\n{tail}"
                )
        except Terminated:
            return 0


def _say(settings: Settings, message: str) -> None:
    """Tell how things stand: to the person at the terminal, or to who reads JSON."""
    if settings.log_format == "json":
        log.info("%s", message)
    else:
        tell(message)


def listen(settings: Settings) -> socket.socket:
    """The API's listening socket, taken before Triton is started for nothing.

    Raises:
        ServeError: the port is taken or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # TCP is named, because asyncio sends small packets at once only where it reads that it is TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # The kernel would hold megabytes for each client that does not read its answer.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        told = f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        raise ServeError(f"{told}; {_way_to_listen(error)}") from error
    return listener


def _way_to_listen(error: OSError) -> str:
    if error.errno == errno.EACCES:
        return "ports below 1024 are for root; choose another with --port or SUB50_PORT"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return (
            "give an address of this machine with --host or SUB50_HOST: 127.0.0.1 for this machine "
            "alone, 0.0.0.0 for all its networks"
        )
    return (
        "stop what holds the port, or choose another with --port or SUB50_PORT (PORT with make run)"
    )


def _serve(
    settings: Settings,
    target: str,
    listener: socket.socket,
    triton: EmbeddedTriton | None = None,
    control: socket.socket | None = None,
    tracing: Tracing | None = None,
) -> int:
    hosted: HostedTriton | None = None
    if triton is not None and control is not None:
        hosted = HostedTriton(control, partial(VersionLoader.of, triton))
    failures: list[ServeError] = []

    def give_up(failure: ServeError) -> None:
        failures.append(failure)
        server.should_exit = True

    connections, drain = Connections(settings, room_for_connections(settings)), Drain()
    around = Surroundings(
        instances=triton.configured.instances if triton is not None else {},
        stand_ins=triton.configured.stand_ins if triton is not None else (),
        hosted=hosted,
        kept=triton,
        give_up=give_up if triton is None else None,
        tracing=tracing,
        connections=connections,
        drain=drain,
    )
    # Made inside the server's loop, which is where the gRPC channel has to live.
    make_app = partial(create_app, settings, target, around)
    server = make_server(settings, connections, make_app, drain)
    watched = (settings, server, _address(listener))
    threading.Thread(target=_announce, args=watched, name="announce", daemon=True).start()
    server.run(sockets=[listener])
    if failures:
        raise failures[0]
    return CUT_OFF_STATUS + server.cut_off_by if server.cut_off_by is not None else 0


def make_server(
    settings: Settings, connections: Connections, make_app: Callable[[], FastAPI], drain: Drain
) -> DrainingServer:
    """The HTTP server, whose `connections` hold to the limits; `make_app` is called in its loop."""
    config = uvicorn.Config(
        make_app,
        factory=True,
        http=guarded(connections),
        # Who asks for a WebSocket would be handed over to one, and get no answer and no limits.
        ws="none",
        timeout_keep_alive=settings.idle_seconds,
        # Its own start and stop lines would repeat ours.
        log_level="warning" if settings.log_level == "info" else settings.log_level,
        log_config=None,
        access_log=False,
        # Nobody here asks who the client is.
        proxy_headers=False,
        timeout_graceful_shutdown=FINISH_SECONDS,
        server_header=False,
    )
    return DrainingServer(config, drain, settings.drain_seconds)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announce(settings: Settings, server: uvicorn.Server, address: str) -> None:
    """Say when the API listens."""
    while not server.should_exit:
        if server.started:
            _say(settings, f"ready on {address}  (board: /, docs: /docs, stop: Ctrl-C)")
            return
        time.sleep(WATCH_SECONDS)
