/** Garbage for a node's keys, by what it is in place of: each spoils one record at every node, as lua/layout.lua lays it out. */
import type { Nodes } from '../harness/nodes.ts';

export type Command = readonly [string, ...(string | number | Buffer)[]];

export async function atAll(nodes: Nodes, ...command: Command): Promise<void> {
  await Promise.all(nodes.servers.map((_, index) => nodes.run(index, ...command)));
}

export const record = (name: string): string => `holdfast:r:${name}`;
export const beside = (kind: string, name: string): string => `holdfast:b:${kind}:${name}`;
/** No text, no number, no MessagePack. */
export const RAW = Buffer.from([0xff, 0xfe, 0x00, 0x1f, 0x80, 0xc1]);

/** As the record's header is laid out (lua/layout.lua). */
const [EXPIRY, SLOT, FLAGS, FENCE, BODY] = [0, 8, 9, 15, 27];

export type Spoil = (nodes: Nodes, name: string) => Promise<void>;

/** Another header in place of the one that stands, at every node. */
const header =
  (change: (old: Buffer) => Buffer): Spoil =>
  async (nodes, name) => {
    for (const index of [0, 1, 2]) {
      const old = (await nodes.header(index, name))!;
      await nodes.run(index, 'HSET', record(name), 's', change(Buffer.from(old)));
    }
  };

const double = (at: number, value: number): Spoil =>
  header((old) => {
    old.writeDoubleLE(value, at);
    return old;
  });

const byte = (at: number, value: number): Spoil =>
  header((old) => {
    old[at] = value;
    return old;
  });

/** With the flag that something stands beside the record, and garbage there. */
const flagged = (flag: number, ...command: readonly Command[]): Spoil => {
  const set = byte(FLAGS, flag);
  return async (nodes, name) => {
    await set(nodes, name);
    for (const [what, key, ...rest] of command) await atAll(nodes, what, `${String(key)}${name}`, ...rest);
  };
};

const wrongType = (key: (name: string) => string): Spoil => {
  return async (nodes, name) => {
    await atAll(nodes, 'DEL', key(name));
    await atAll(nodes, 'SET', key(name), 'x');
  };
};

const [QUEUED, SHARED, READ] = [8, 16, 32];
export const spoils: [string, Spoil][] = [
  ['a record of another type', wrongType(record)],
  ['an empty header', header(() => Buffer.alloc(0))],
  ['half a header', header((old) => old.subarray(0, 20))],
  ['half a body', header((old) => old.subarray(0, BODY + 8))],
  ['a header of random bytes', header((old) => Buffer.from(old.map((value, at) => value ^ (at * 37 + 11))))],
  ['a header with much behind it', header((old) => Buffer.concat([old, Buffer.alloc(1 << 18, 'z')]))],
  ['a fence that is no number', double(FENCE, Number.NaN)],
  ['a fence without end', double(FENCE, Number.POSITIVE_INFINITY)],
  ['an expiry that is no number', double(EXPIRY, Number.NaN)],
  ['an expiry without end', double(EXPIRY, Number.POSITIVE_INFINITY)],
  ['a ring beyond its slots', byte(SLOT, 255)],
  ['every flag and nothing beside it', byte(FLAGS, 255)],
  [
    'a body without its parts',
    header((old) => Buffer.from(old.map((value) => (value === 0x1f ? 0x7a : value)))),
  ],
  ['a card that is no JSON', header((old) => Buffer.concat([old.subarray(0, -4), Buffer.from('{{{{')]))],
  [
    'a card that is no object',
    header((old) => Buffer.concat([old.subarray(0, -11), Buffer.from('12345678901')])),
  ],
  ['a line that is not there', flagged(QUEUED)],
  ['a line of another type', flagged(QUEUED, ['SET', beside('q', ''), 'x'])],
  [
    'a waiter that nobody can read',
    async (nodes, name) => {
      await flagged(QUEUED, ['SET', beside('w', ''), RAW])(nodes, name);
      await atAll(nodes, 'ZADD', beside('q', name), 1, name);
    },
  ],
  ['readers of another type', flagged(SHARED, ['SET', beside('s', ''), 'x'])],
  ['a reader that nobody can read', flagged(SHARED, ['HSET', beside('s', ''), 'v', RAW])],
  ["a reader's fence without a writer's", flagged(READ)],
  [
    'a history that nobody can read',
    async (nodes, name) => {
      for (const slot of ['00', '01', '02', '63'])
        await atAll(nodes, 'HSET', record(name), slot, `junk\x1fjunk\x1fjunk`);
    },
  ],
];
