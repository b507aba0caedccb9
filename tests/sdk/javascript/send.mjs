// Sends traces with the unmodified OpenTelemetry SDK over HTTP/JSON and prints what it sent, one JSON document.
// usage: node send.mjs ENDPOINT TRACES
import { SpanKind, SpanStatusCode, context, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [endpoint, traces] = [process.argv[2], Number(process.argv[3])];
const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ "service.name": "javascript-http-json", "service.version": "3.2.1" }),
  spanProcessors: [
    new BatchSpanProcessor(new OTLPTraceExporter({ url: `${endpoint}/v1/traces` }), { maxQueueSize: 100000 }),
  ],
});
const tracer = provider.getTracer("sdk-test", "1.0");
const sent = [];
const note = (span, name) => {
  const { traceId, spanId } = span.spanContext();
  sent.push({ trace_id: traceId, span_id: spanId, name });
};
for (let i = 0; i < traces; i++) {
  const root = tracer.startSpan("GET /users/{id}", {
    kind: SpanKind.SERVER,
    attributes: { "http.request.method": "GET", "http.route": "/users/{id}", "user.ids": [i, i + 1], ratio: 0.5 },
  });
  note(root, "GET /users/{id}");
  const child = tracer.startSpan("load", { attributes: { "code.function.name": "app.load" } }, trace.setSpan(context.active(), root));
  child.addEvent("cache miss", { key: `user-${i}` });
  note(child, "load");
  if (i % 10 === 0) {
    child.recordException(new Error("no such user"));
    child.setStatus({ code: SpanStatusCode.ERROR, message: "no such user" });
  }
  child.end();
  root.end();
}
await provider.forceFlush();
await provider.shutdown();
process.stdout.write(JSON.stringify(sent));
