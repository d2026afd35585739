/** Serves models by HTTP as badly as it is told: errors, cut and wrong downloads, slow ones, and some kept in the middle. */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { until } from './until.ts';

/** How one download goes. `cut` ends in the middle, `late` comes in pieces, `kept` stops in the middle until let go. */
export type Course = 'good' | 'error' | 'cut' | 'wrong' | 'late' | 'kept';

const PIECES = 8;
const PIECE_MS = 30;

export interface Fetch {
  readonly model: string;
  /** The process that asked. */
  readonly worker: number;
  readonly course: Course;
  /** Every byte of the real model has left, and whoever asked has read on to the end. */
  whole: boolean;
}

export class ModelServer {
  readonly fetches: Fetch[] = [];
  readonly #server: Server;
  readonly #models = new Map<string, Buffer>();
  /** What becomes of the next downloads of a model; then all are good. */
  readonly #courses = new Map<string, Course[]>();
  readonly #kept = new Map<Fetch, () => void>();
  /** Who has asked for the manifest and must wait for the rest. */
  readonly #gathered: ServerResponse[] = [];
  #crowd = 1;

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(): Promise<ModelServer> {
    const server = new ModelServer();
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get manifestUrl(): string {
    return `${this.#base}/manifest.json`;
  }

  /** The manifest is sent to nobody before so many have asked: they begin together. */
  gather(count: number): void {
    this.#crowd = count;
  }

  /** A new model, of random content. */
  add(name: string, bytes: number, ...courses: readonly Course[]): void {
    this.#models.set(name, randomBytes(bytes));
    this.#courses.set(name, [...courses]);
  }

  /** Of all that there are, by name. */
  get hashes(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.#models].map(([name, model]) => [name, sha256(model)]));
  }

  /** How often each was fetched whole. */
  get wholes(): Readonly<Record<string, number>> {
    const count = (name: string): number =>
      this.fetches.filter(({ model, whole }) => model === name && whole).length;
    return Object.fromEntries([...this.#models.keys()].map((name) => [name, count(name)]));
  }

  /** The download of `model` that stands still in the middle, once there is one beside `others`. */
  keptOf(model: string, ...others: readonly Fetch[]): Promise<Fetch> {
    const look = (): Fetch | undefined =>
      [...this.#kept.keys()].find((one) => one.model === model && !others.includes(one));
    return until(`a download of ${model} is under way`, look, 40_000);
  }

  /** Sends the rest of it. */
  letGo(fetch: Fetch): void {
    this.#kept.get(fetch)?.();
    this.#kept.delete(fetch);
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  get #base(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const name = (request.url ?? '').slice(1);
    if (name === 'manifest.json') return this.#sendManifest(response);
    const model = this.#models.get(name);
    if (model === undefined) return void response.writeHead(404).end();
    const course = this.#courses.get(name)!.shift() ?? 'good';
    const fetch = { model: name, worker: Number(request.headers['x-worker']), course, whole: false };
    this.fetches.push(fetch);
    if (course === 'error') return void response.writeHead(500).end('out of order');
    const bytes = course === 'wrong' ? randomBytes(model.length) : model;
    response.writeHead(200, { 'Content-Length': bytes.length });
    await this.#send(fetch, bytes, response);
  }

  async #send(fetch: Fetch, bytes: Buffer, response: ServerResponse): Promise<void> {
    const half = bytes.length >> 1;
    if (fetch.course === 'cut') return void response.write(bytes.subarray(0, half), () => response.destroy());
    let from = 0;
    if (fetch.course === 'kept') {
      response.write(bytes.subarray(0, half));
      await new Promise<void>((resolve) => this.#kept.set(fetch, resolve));
      from = half;
    }
    if (fetch.course === 'late') from = await trickle(bytes, response);
    response.end(bytes.subarray(from), () => {
      fetch.whole = fetch.course !== 'wrong' && !response.destroyed;
    });
  }

  #sendManifest(response: ServerResponse): void {
    this.#gathered.push(response);
    if (this.#gathered.length < this.#crowd) return;
    const manifest = JSON.stringify({ models: this.#manifest() });
    for (const waiting of this.#gathered.splice(0)) waiting.end(manifest);
  }

  #manifest(): object[] {
    return [...this.#models].map(([name, model]) => ({
      name,
      url: `${this.#base}/${name}`,
      bytes: model.length,
      sha256: sha256(model),
    }));
  }
}

/** All but the last piece, one after the other; how many bytes that were. */
async function trickle(bytes: Buffer, response: ServerResponse): Promise<number> {
  const piece = Math.floor(bytes.length / PIECES);
  for (let at = 0; at < PIECES - 1; at += 1) {
    response.write(bytes.subarray(at * piece, (at + 1) * piece));
    await new Promise((resolve) => setTimeout(resolve, PIECE_MS));
  }
  return (PIECES - 1) * piece;
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
