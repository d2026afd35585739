/** The stamp as the Lua scripts read it, and their answers as the rest of the code reads them. */
import { fenceAgeMicros, requestMemoryMs, tokenLeadMicros, tokenSlackMicros } from '../domain/limits.ts';
import type { LostWhy } from '../domain/refusals.ts';
import type { LineView, News, NewsType, NodeWaiter, Wake } from './line.ts';
import type {
  Answer,
  ClosedWhy,
  NodeEvent,
  NodeEventType,
  NodeHolder,
  NodeView,
  SilentWhy,
  Stamp,
} from './node.ts';
import { SCHEMA } from './node.ts';

/** ARGV[1] to ARGV[6] of gate.lua. */
export function stampArgs({ nodeId, cluster, longestTtlMs, runId }: Stamp): readonly string[] {
  const memoryMs = Math.max(requestMemoryMs, 2 * longestTtlMs);
  const figures = [longestTtlMs * 1000, tokenLeadMicros, tokenSlackMicros, fenceAgeMicros, memoryMs * 1000];
  return [[SCHEMA, nodeId, cluster, longestTtlMs, runId].join('\u001f'), ...figures.map(String)];
}

const HELD: Answer = { kind: 'held' };
const DUP: Answer = { kind: 'dup' };
const MISMATCH: Answer = { kind: 'mismatch' };
const CROWDED: Answer = { kind: 'crowded' };
const SETTLED: Answer = { kind: 'settled' };
const WATCHING: Answer = { kind: 'watching' };
const TOLD: Answer = { kind: 'told' };
const MATCHED: Answer = { kind: 'released', matched: true };
const UNMATCHED: Answer = { kind: 'released', matched: false };

type HolderTuple = [string, string, string, string, number, string, number, string];
type LineTuple = [number, number, string, string, string[] | object, boolean];
type WaiterTuple = [string, string, string, string, number, number, number, string[]];
type ViewTuple = [
  string,
  HolderTuple | false,
  string,
  string,
  string[] | object,
  HolderTuple[] | object,
  [number, WaiterTuple[] | object] | false,
];

/** One answer of a batch; `nowMicros` is the node's time, which heads the batch. */
export function parseAnswer(text: string, nowMicros: number): Answer {
  if (text.length === 1) {
    switch (text) {
      case 'h':
        return HELD;
      case 'd':
        return DUP;
      case 'R':
        return MATCHED;
      case 'r':
        return UNMATCHED;
      case 'x':
        return MISMATCH;
      case 'a':
        return { kind: 'ahead', nowMicros };
      case 'g':
        return { kind: 'pong', nowMicros };
      case 'c':
        return CROWDED;
      case 't':
        return SETTLED;
      case 'k':
        return WATCHING;
      case 'T':
        return TOLD;
    }
  }
  return parseTuple(JSON.parse(text) as [string, ...unknown[]], nowMicros);
}

function parseTuple(tuple: [string, ...unknown[]], nowMicros: number): Answer {
  const [kind, first, second, third, fourth] = tuple;
  switch (kind) {
    case 'c': {
      const holders = (first as HolderTuple[]).map(holderOf);
      if (second === false || second === undefined) return { kind: 'conflict', holders };
      return { kind: 'conflict', holders, line: lineOf(second as LineTuple) };
    }
    case 'W':
      return { kind: 'wait', line: lineOf(first as LineTuple) };
    case 'q':
      return { kind: 'queued', line: lineOf(first as LineTuple) };
    case 'L':
      return {
        kind: 'left',
        matched: first as boolean,
        line: second === false ? NO_LINE : lineOf(second as LineTuple),
        holders: listOf<HolderTuple>(third).map(holderOf),
      };
    case 'o':
      return { kind: 'waiting', waiters: listOf<WaiterTuple>(first).map(waiterOf) };
    case 's':
      return { kind: 'stale', fence: BigInt(first as string) };
    case 'e':
      return {
        kind: 'extended',
        holder: holderOf(first as HolderTuple),
        markerKey: second as string,
        markerDigest: third as string,
        waited: fourth as boolean,
      };
    case 'b':
      return { kind: 'bound', binding: first as number };
    case 'm':
      return { kind: 'missing', why: first as LostWhy };
    case 'p':
      return { kind: 'replay', value: first as string, holder: holderOf(second as HolderTuple) };
    case 'E':
      return { kind: 'ended', value: first as string, why: second as LostWhy };
    case 'f':
      return {
        kind: 'forced',
        value: first as string,
        holder: second === false ? null : holderOf(second as HolderTuple),
      };
    case 'V':
      return {
        kind: 'revealed',
        value: first as string,
        holder: second === false ? null : holderOf(second as HolderTuple),
      };
    case 'B':
      return { kind: 'barred', held: first as boolean, barred: second as boolean };
    case 'v':
      return { kind: 'seen', view: first === false ? null : viewOf(first as ViewTuple) };
    case 'l':
      return { kind: 'listed', views: listOf<ViewTuple>(first).map(viewOf), more: second === true };
    case 'w':
      return { kind: 'swept', next: first as string, expired: second as number, dropped: third as number };
    case '!':
      return { kind: 'silent', why: first as SilentWhy, detail: second as string };
    default:
      return { kind: 'silent', why: 'error', detail: `unreadable answer of kind ${kind} at ${nowMicros}` };
  }
}

/** Lua's cjson writes an empty list as `{}`. */
function listOf<T>(value: unknown): T[] {
  return Array.isArray(value) ? (value as T[]) : [];
}

function holderOf(tuple: HolderTuple): NodeHolder {
  const [resource, leaseRef, token, owner, remainingMs, card, binding, progress] = tuple;
  // Whoever reads a card later relies on it.
  const written: unknown = JSON.parse(card);
  if (typeof written !== 'object' || written === null) throw new Error(`no card: ${card}`);
  return { resource, leaseRef, token: BigInt(token), owner, remainingMs, card, binding, progress };
}

const NO_LINE: LineView = { position: 0, length: 0, ticket: 0, order: 0, free: [], tangled: false };

function lineOf([position, length, ticket, order, free, tangled]: LineTuple): LineView {
  return {
    position,
    length,
    ticket: Number(ticket),
    order: Number(order),
    free: listOf<string>(free),
    tangled,
  };
}

function waiterOf(tuple: WaiterTuple): NodeWaiter {
  const [id, owner, ticket, order, priority, shared, any, resources] = tuple;
  const mode = shared === 1 ? 'shared' : 'exclusive';
  return { id, owner, ticket: Number(ticket), order: Number(order), priority, mode, any, resources };
}

/** How the scripts abbreviate a fence's state. */
export const fenceStates: Record<string, 'open' | ClosedWhy> = {
  o: 'open',
  r: 'released',
  f: 'forced',
  u: 'undone',
};

function viewOf(tuple: ViewTuple): NodeView {
  const [resource, holder, fence, state, history, readers, line] = tuple;
  const shared = listOf<HolderTuple>(readers);
  return {
    resource,
    ...(holder === false ? {} : { holder: holderOf(holder) }),
    ...(shared.length === 0 ? {} : { readers: shared.map(holderOf) }),
    ...(line === false
      ? {}
      : { line: { length: line[0], waiters: listOf<WaiterTuple>(line[1]).map(waiterOf) } }),
    ...(fence === '-'
      ? {}
      : { fence: { token: BigInt(fence), state: fenceStates[state.toLowerCase()] ?? 'open' } }),
    history: listOf<string>(history).map(eventOf),
  };
}

function eventOf(packed: string): NodeEvent {
  const [type = '', time = '0', token = '0', leaseRef = '', owner = '', reason = ''] = packed.split('\u001f');
  return {
    type: type as NodeEventType,
    timeMicros: Number(time),
    token: BigInt(token),
    leaseRef,
    owner,
    reason,
  };
}

/** What line.lua publishes on a replica's wake channel. */
export function wakeOf(message: string): Wake {
  const [resource = '', id = '', fence = '0'] = message.split('\u001f');
  return { resource, id, fence: BigInt(fence) };
}

/** What record.lua and line.lua publish on the news channel. */
export function newsOf(message: string): News {
  const [
    resource = '',
    type = '',
    time = '0',
    token = '0',
    leaseRef = '',
    owner = '',
    reason = '',
    left = '0',
  ] = message.split('\u001f');
  return {
    type: type as NewsType,
    timeMicros: Number(time),
    resource,
    token: BigInt(token),
    leaseRef,
    owner,
    reason,
    remainingMs: Number(left),
  };
}
