"""Spans of a real server, as a collector for OpenTelemetry receives them."""

import queue
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.acceptance.asking import Api
from tests.acceptance.conftest import settings_on
from tests.acceptance.processes import Store, started
from tests.patience import PATIENCE_S


class Collector(ThreadingHTTPServer):
    """Receives spans over HTTP."""

    def __init__(self) -> None:
        self.spans: queue.Queue[Span] = queue.Queue()
        super().__init__(("127.0.0.1", 0), _Receiver)


class _Receiver(BaseHTTPRequestHandler):
    server: Collector  # pyright: ignore[reportIncompatibleVariableOverride] - the one above

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        sent = ExportTraceServiceRequest.FromString(body)
        for resource in sent.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.server.spans.put(span)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@contextmanager
def collecting() -> Generator[Collector]:
    """A collector that runs."""
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


async def test_each_request_is_a_span(store: Store) -> None:
    with collecting() as collector:
        settings = settings_on(store.url, traces=True) | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}"
        }
        with started(settings) as server:
            async with Api(server.url) as api:
                (await api.ask(None, "versionmsg")).ok  # noqa: B018 - asserts
                await api.ask(None, "nosuchmsg")
            # What is left is sent when the server stops.
            assert server.stop() == 0, server.log.text
        spans = [collector.spans.get(timeout=PATIENCE_S) for _ in range(2)]
    assert [span.name for span in spans] == ["versionmsg", "unknown"]
    said = {a.key: a.value for a in spans[0].attributes}
    assert said["rpc.method"].string_value == "versionmsg"
    assert said["http.response.status_code"].int_value == 200
    for span in spans:
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
