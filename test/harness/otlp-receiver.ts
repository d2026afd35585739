/** A collector that takes traces as OTLP in JSON and keeps their spans. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { until } from './until.ts';

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly boolValue?: boolean; readonly intValue?: number };
}

interface Sent {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly attributes?: readonly Attribute[];
  readonly links?: readonly { traceId: string; spanId: string; attributes?: readonly Attribute[] }[];
  readonly events?: readonly { name: string; attributes?: readonly Attribute[] }[];
}

export interface Received {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** `grant SPAN`, `holder SPAN`. */
  readonly links: readonly string[];
  readonly events: readonly {
    readonly name: string;
    readonly attributes: Readonly<Record<string, string>>;
  }[];
}

function plain(attributes: readonly Attribute[] = []): Record<string, string> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, String(value.stringValue ?? value.boolValue ?? value.intValue)]),
  );
}

function received({
  traceId,
  spanId,
  parentSpanId,
  name,
  attributes,
  links = [],
  events = [],
}: Sent): Received {
  const told = links.map((link) => `${plain(link.attributes)['holdfast.link']} ${link.spanId}`);
  return {
    traceId,
    spanId,
    parentSpanId,
    name,
    attributes: plain(attributes),
    links: told,
    events: events.map((event) => ({ name: event.name, attributes: plain(event.attributes) })),
  };
}

export class OtlpReceiver {
  readonly spans: Received[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { resourceSpans } = JSON.parse(Buffer.concat(chunks).toString()) as {
          resourceSpans: { scopeSpans: { spans: Sent[] }[] }[];
        };
        this.spans.push(
          ...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((one) => one.spans.map(received))),
        );
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      });
    });
  }

  static async start(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver();
    receiver.#server.listen(0, '127.0.0.1');
    await once(receiver.#server, 'listening');
    return receiver;
  }

  /** What a service needs to send its traces here, soon. */
  get env(): Readonly<Record<string, string>> {
    return {
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`,
      OTEL_BSP_SCHEDULE_DELAY: '50',
    };
  }

  /** The one span of that name, of that trace. */
  async span(traceId: string, name: string): Promise<Received> {
    return until(`a span ${name} came; there are ${this.spans.map((span) => span.name).join(', ')}`, () =>
      this.spans.find((span) => span.traceId === traceId && span.name === name),
    );
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
