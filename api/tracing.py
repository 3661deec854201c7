"""A span for each request, for OpenTelemetry. Needs the extra ``otel``, and COLONIES_TRACES.

Where spans go and how many are kept is said with OpenTelemetry's own variables (OTEL_EXPORTER_…,
OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES), which its library reads itself. A span is made when
its request has been answered, so a request pays for it only at its end.
"""

import time
from collections.abc import Callable

from api.rpc import Watcher
from broker.clock import SECOND_NS
from broker.errors import Malformed

_BUG = 500


def tracing() -> tuple[Watcher, Callable[[], None]]:
    """What makes the spans, and what sends the last of them at the end.

    Raises:
        Malformed: the extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415
    except ImportError as error:
        raise Malformed(
            f"COLONIES_TRACES needs the extra otel: pip install 'colonies-broker[otel]' ({error})"
        ) from error
    resource = Resource.create({"service.name": "colonies"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("colonies")

    def answered(asked: str, status: int, seconds: float) -> None:
        now_ns = time.time_ns()
        span = tracer.start_span(
            asked or "unknown",
            kind=SpanKind.SERVER,
            start_time=now_ns - int(seconds * SECOND_NS),
            attributes={
                "rpc.system": "colonies",
                "rpc.method": asked or "unknown",
                "http.response.status_code": status,
            },
        )
        if status >= _BUG:
            span.set_status(StatusCode.ERROR)
        span.end(now_ns)

    return answered, provider.shutdown
