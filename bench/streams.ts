/** What does a lock cost that is held by an idle stream, and how soon are ten thousand of them free when their client dies? */
import { parseArgs } from 'node:util';
import { fixed, type Gate, gate, heading, judge, say, table } from './lib/report.ts';
import { type Servers, startServers } from './lib/servers.ts';
import { type Kind, measure, type Outcome, type Size, TTL_S } from './lib/streams-subject.ts';

const FULL: Size = { streams: 10_000, connections: 50, warmUpStreams: 500, idleMs: 20_000 };
const QUICK: Size = { streams: 2000, connections: 10, warmUpStreams: 200, idleMs: 12_000 };

const MOST_OF_FLOOR = 1.2;
/** Far below the ttl, after which they would be free without anybody's doing. */
const MOST_FREED_MS = 5000;
/** A Hold tells each renewal, which comes three times within its ttl. */
const RENEWED_MS = (TTL_S * 1000) / 3;
/** About that of an event that tells a renewal. */
const EVENT_BYTES = 200;

const HOLD: Kind = { name: 'Hold', what: 'hold', everyMs: 0, size: 0 };
const BARE: Kind = { name: 'bare stream', what: 'idle', everyMs: 0, size: 0 };
const WRITTEN: Kind = { name: 'bare, written to', what: 'idle', everyMs: RENEWED_MS, size: EVENT_BYTES };

/** The fields of HoldResponse. */
const GRANTED = 2;
const RENEWED = 4;

const HEADER = [
  'for each stream',
  'RSS KB',
  'V8 heap KB',
  'external KB',
  'RSS of all KB',
  'idle CPU us/s',
  'messages while idle',
  'all open s',
  'all ended ms',
  'all free ms',
  'RSS left KB',
  'heap left KB',
];

const kb = (bytes: number): string => fixed(bytes / 1000, 2);

function rowOf(outcome: Outcome, streams: number): string[] {
  const { kind, rss, heap, external, rssOfAll, idleCpuMicros, idleMs, opened, idle } = outcome;
  const count = (heard: Outcome['idle']): number =>
    Object.values(heard.messages).reduce((all, messages) => all + messages, 0);
  return [
    kind.name,
    ...[rss, heap, external, rssOfAll].map(kb),
    fixed(idleCpuMicros / (idleMs / 1000) / streams, 2),
    fixed((count(idle) - count(opened)) / streams, 2),
    fixed(outcome.openMs / 1000),
    fixed(outcome.endedMs, 0),
    kind.what === 'hold' ? fixed(outcome.freedMs, 0) : '-',
    kb(outcome.rssAfter),
    kb(outcome.heapAfter),
  ];
}

/** While they were idle. */
function renewals({ opened, idle }: Outcome): number {
  return (idle.messages[RENEWED] ?? 0) - (opened.messages[RENEWED] ?? 0);
}

type Outcomes = Readonly<Record<'hold' | 'bare' | 'written', Outcome>>;

/** One after the other, each at a replica that has never served anything else. */
async function all(size: Size, servers: Servers): Promise<Outcomes> {
  return {
    hold: await measure(HOLD, size, servers),
    bare: await measure(BARE, size, servers),
    written: await measure(WRITTEN, size, servers),
  };
}

const times = (one: number, other: number): string => `${fixed(one / other, 2)}x`;

/**
 * Judged by the bare stream that was written to once, as every stream is with its grant. What one costs more that is
 * written to for as long as it lives is the timer and the buffer of its handler here, not what grpc-js needs.
 */
function heapGate({ hold, bare, written }: Outcomes): Gate {
  return gate(
    'V8 heap of an idle Hold',
    hold.heap <= MOST_OF_FLOOR * bare.heap,
    `${kb(hold.heap)} KB, ${times(hold.heap, bare.heap)} that of a bare stream (at most ${MOST_OF_FLOOR}x), ` +
      `${times(hold.heap, written.heap)} that of one written to as often`,
  );
}

/**
 * Not judged: runs of the same code gave a bare stream 0.4 to 16 KB. RSS goes by what the collector keeps ready and what
 * code was compiled meanwhile, which is megabytes, so it says more of the process than of a stream.
 */
function sayRss({ hold, bare, written }: Outcomes): void {
  const against = (figure: 'rss' | 'rssOfAll'): string =>
    `${kb(hold[figure])} KB, ${times(hold[figure], bare[figure])} that of a bare stream and ` +
    `${times(hold[figure], written[figure])} that of one written to as often`;
  say(`  RSS of an idle Hold, not judged: ${against('rss')};`);
  say(`  with what the process takes once it is busy: ${against('rssOfAll')}`);
}

function gatesOf(outcomes: Outcomes, { streams }: Size): Gate[] {
  const { hold } = outcomes;
  const granted = hold.opened.messages[GRANTED] ?? 0;
  const renewed = renewals(hold);
  const others = Object.keys(hold.idle.messages).filter(
    (field) => ![GRANTED, RENEWED].includes(Number(field)),
  );
  return [
    gate('every Hold is granted', granted === streams, `${granted} of ${streams}`),
    gate(
      'every Hold lives',
      others.length === 0 && hold.idle.ended === 0 && renewed >= streams,
      `${renewed} renewals told, ${hold.idle.ended} streams ended, other events: ${others.length}`,
    ),
    heapGate(outcomes),
    gate(
      'all are free when the client is killed',
      hold.freedMs <= MOST_FREED_MS && hold.left === 0,
      `after ${fixed(hold.freedMs, 0)} ms (at most ${MOST_FREED_MS}), ${hold.left} locks left`,
    ),
  ];
}

export async function run(): Promise<boolean> {
  const { values } = parseArgs({ args: process.argv.slice(3), options: { quick: { type: 'boolean' } } });
  const size = values.quick === true ? QUICK : FULL;
  const { streams, connections, idleMs } = size;
  heading(
    `${streams} idle streams over ${connections} connections of one client process, ttl ${TTL_S} s, ` +
      `3 redis-servers, idle for ${idleMs / 1000} s`,
  );
  const servers = await startServers(3);
  try {
    const outcomes = await all(size, servers);
    const { hold, bare, written } = outcomes;
    table([HEADER, ...[hold, bare, written].map((outcome) => rowOf(outcome, streams))]);
    const perRenewal = (hold.idleCpuMicros - bare.idleCpuMicros) / renewals(hold);
    say(`  a renewal costs the server ${fixed(perRenewal)} us, the event included`);
    sayRss(outcomes);
    say();
    return judge(gatesOf(outcomes, size));
  } finally {
    await servers.stop();
  }
}
