/** One process with many open streams over a few connections, which reads what they say and does nothing else. */

import { serveParent } from './children.ts';
import { lockService } from './light-calls.ts';
import { DATA, END_STREAM, HEADERS, LightWire, MESSAGE_HEAD, onlyMessage, RST_STREAM } from './light-wire.ts';
import { noopDefinition } from './noop.ts';

export interface Opening {
  readonly what: 'hold' | 'idle';
  /** The number of the first, which its lock is named after. */
  readonly first: number;
  readonly streams: number;
  readonly connections: number;
  /** Of an idle stream: how often it is written to, 0 for only once, and with how many bytes. */
  readonly everyMs: number;
  readonly size: number;
  readonly ttlS: number;
}

export interface Heard {
  /** Messages by the number of the field that is set in them, which for a Hold is the event. */
  readonly messages: Readonly<Record<number, number>>;
  readonly bytes: number;
  readonly ended: number;
}

/** On one connection at once, so that the server is busy and not flooded. */
const AT_ONCE = 4;

const messages: Record<number, number> = {};
let bytes = 0;
let ended = 0;

/** Whole messages only: small ones are never cut. */
function read(payload: Buffer): void {
  bytes += payload.length;
  for (let at = 0; at < payload.length; ) {
    const end = at + MESSAGE_HEAD + payload.readUInt32BE(at + 1);
    if (end > payload.length) throw new Error('a message was cut');
    const field = end === at + MESSAGE_HEAD ? 0 : payload[at + MESSAGE_HEAD]! >>> 3;
    messages[field] = (messages[field] ?? 0) + 1;
    at = end;
  }
}

class Streams {
  readonly #wire: LightWire;
  readonly #spoken = new Map<number, () => void>();

  constructor(address: string) {
    this.#wire = new LightWire(address, this);
  }

  /** Opens one after the other; each has spoken before the next. */
  async open(path: string, requests: Iterator<Buffer, undefined>): Promise<void> {
    const begin = this.#wire.opener(path);
    for (let request = requests.next(); request.done !== true; request = requests.next()) {
      const { stream, headers } = begin();
      const spoken = new Promise<void>((resolve) => this.#spoken.set(stream, resolve));
      this.#wire.send(headers, onlyMessage(stream, request.value));
      await spoken;
    }
  }

  frame(type: number, flags: number, stream: number, payload: Buffer): void {
    if (type === DATA) {
      read(payload);
      this.#spoken.get(stream)?.();
      this.#spoken.delete(stream);
    }
    if (type === RST_STREAM || (type === HEADERS && (flags & END_STREAM) !== 0)) ended += 1;
  }

  closed(why: string): void {
    throw new Error(why);
  }
}

const [address = '', prefix = ''] = (process.argv[2] ?? '').split(' ');
const hold = lockService().Hold!;
const idle = noopDefinition.Idle!;

function* requests({ what, first, streams, ttlS, everyMs, size }: Opening): Generator<Buffer, undefined> {
  for (let index = first; index < first + streams; index += 1) {
    const resource = `${prefix}${index}`;
    yield what === 'hold'
      ? hold.requestSerialize({ acquire: { resources: [resource], owner: resource, ttl: { seconds: ttlS } } })
      : idle.requestSerialize({ every_ms: everyMs, size });
  }
  return undefined;
}

const wires: Streams[] = [];

async function open(opening: Opening): Promise<void> {
  const shared = requests(opening);
  const { path } = opening.what === 'hold' ? hold : idle;
  while (wires.length < opening.connections) wires.push(new Streams(address));
  const loops = wires.flatMap((wire) => Array.from({ length: AT_ONCE }, () => wire.open(path, shared)));
  await Promise.all(loops);
}

serveParent<Opening | Record<string, never>, Heard>({ messages, bytes, ended }, async (question) => {
  if ('what' in question) await open(question as Opening);
  return { messages, bytes, ended };
});
