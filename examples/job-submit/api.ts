/** The HTTP API: PUT /jobs/ID submits, GET /jobs/ID tells how it is. `Server-Timing` says what the lock added. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { statusOf } from './status.ts';
import { closeStores, openStores } from './stores.ts';
import { SubmitError, submit } from './submit.ts';

const stores = await openStores();

async function put(id: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const payload = parsed(await text(request));
  if (payload === undefined) return answer(response, 400, { error: 'INVALID_JSON' });
  const startMs = performance.now();
  const { created, lockMs } = await submit(stores, id, payload);
  const totalMs = performance.now() - startMs;
  response.setHeader('Server-Timing', `lock;dur=${lockMs.toFixed(2)}, total;dur=${totalMs.toFixed(2)}`);
  answer(response, created ? 202 : 200, { id, created });
}

async function get(id: string, response: ServerResponse): Promise<void> {
  const status = await statusOf(stores, id);
  answer(response, status === undefined ? 404 : 200, status ?? { error: 'UNKNOWN_JOB', id });
}

/** Undefined if it is no JSON. */
function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
}

const server = createServer(async (request, response) => {
  const id = /^\/jobs\/([A-Za-z0-9-]{1,64})$/.exec(request.url ?? '')?.[1];
  try {
    if (id !== undefined && request.method === 'PUT') await put(id, request, response);
    else if (id !== undefined && request.method === 'GET') await get(id, response);
    else answer(response, 404, { error: 'NO_SUCH_PATH' });
  } catch (error) {
    const service = error instanceof SubmitError ? error.service : 'postgres';
    const { message } = error as Error;
    answer(response, 503, { error: 'UNAVAILABLE', service, message });
  }
});

server.listen(Number(process.env.PORT ?? 8080), '127.0.0.1', () => {
  console.log(JSON.stringify({ listening: server.address() }));
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    server.close(() => void closeStores(stores));
    server.closeIdleConnections();
  });
}
