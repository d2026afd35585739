/** Operations as the Lua scripts read them, and their answers as the rest of the code reads them. */
import { Packr } from 'msgpackr';
import { fenceAgeMicros, requestMemoryMs, tokenLeadMicros, tokenSlackMicros } from '../domain/limits.ts';
import type { LostWhy } from '../domain/refusals.ts';
import type {
  Answer,
  ClosedWhy,
  HoldOp,
  NodeEvent,
  NodeEventType,
  NodeHolder,
  NodeOp,
  NodeView,
  RepairOp,
  SilentWhy,
  Stamp,
} from './node.ts';
import { SCHEMA } from './node.ts';

/** ARGV[1] to ARGV[6] of votes.lua. */
export function stampArgs({ nodeId, cluster, longestTtlMs, runId }: Stamp): readonly string[] {
  const memoryMs = Math.max(requestMemoryMs, 2 * longestTtlMs);
  const figures = [longestTtlMs * 1000, tokenLeadMicros, tokenSlackMicros, fenceAgeMicros, memoryMs * 1000];
  return [[SCHEMA, nodeId, cluster, longestTtlMs, runId].join('\u001f'), ...figures.map(String)];
}

// Arrays, strings and small integers only: what the nodes' cmsgpack and any other reader agree on.
const packer = new Packr({ useRecords: false, variableMapSize: true });

/** One vote goes to every node: its bytes are made once and stay with the operation (a WeakMap costs more than packing). */
const BYTES = Symbol('bytes');

function operationBytes(op: NodeOp & { [BYTES]?: Buffer }): Buffer {
  op[BYTES] ??= packer.pack(operationTuple(op)) as Buffer;
  return op[BYTES];
}

/** Votes go to all nodes in the same tick, so the batch of the next node is nearly always the one just made. */
let latest: { readonly operations: readonly NodeOp[]; readonly bytes: Buffer } | undefined;

/** ARGV[7] of votes.lua: a MessagePack array of the operations. */
export function batchBytes(operations: readonly NodeOp[]): Buffer {
  if (latest !== undefined && same(latest.operations, operations)) return latest.bytes;
  const head = Buffer.from([0xdc, operations.length >> 8, operations.length & 0xff]);
  const bytes = Buffer.concat([head, ...operations.map(operationBytes)]);
  latest = { operations, bytes };
  return bytes;
}

function same(a: readonly NodeOp[], b: readonly NodeOp[]): boolean {
  return a.length === b.length && a.every((op, index) => op === b[index]);
}

/** Most operations name one resource, and a bare name is cheaper to unpack than a list of one. */
function namesOf(resources: readonly string[]): string | readonly string[] {
  return resources.length === 1 ? resources[0]! : resources;
}

/** What nodes store of a lease as it is, and where in it they find its value and the head of its events. */
function bodyOf({
  secret,
  value,
  leaseRef,
  owner,
  card,
}: HoldOp | RepairOp): [string, number, number, number] {
  const told = `${value}\u001f${leaseRef}\u001f${owner}`;
  return [told + card, secret.length + 2, value.length, Buffer.byteLength(told)];
}

/** A tail of nothing but defaults stays at home: the script reads what is missing as these. */
function operationTuple(op: NodeOp): unknown[] {
  switch (op.kind) {
    case 'hold': {
      const { token, resources, ttlMs, seen, marker } = op;
      const tuple = ['h', namesOf(resources), Number(token), ttlMs, ...bodyOf(op)];
      if (marker !== undefined) tuple.push(Number(seen), marker.key, marker.digest);
      else if (seen !== 0n) tuple.push(Number(seen));
      return tuple;
    }
    case 'renew':
      return [
        'n',
        namesOf(op.resources),
        Number(op.token),
        op.value,
        op.ttlMs,
        op.leaseRef,
        op.progress ?? '',
      ];
    case 'repair':
      return [
        'p',
        namesOf(op.resources),
        Number(op.token),
        op.ttlMs,
        ...bodyOf(op),
        op.binding,
        op.progress,
        op.marker?.key ?? '',
        op.marker?.digest ?? '',
      ];
    case 'release': {
      const tuple = ['r', namesOf(op.resources), Number(op.token), op.value];
      if (op.why === 'released' && op.reason === '' && !op.closing && op.binding === undefined) return tuple;
      tuple.push(
        op.why,
        op.reason,
        op.closing ? 1 : 0,
        op.binding ?? -1,
        Number(op.seen),
        op.markerKey ?? '',
      );
      return tuple;
    }
    case 'force':
      return ['f', op.resource, op.leaseRef, op.reason];
    case 'look':
      return ['v', op.resource, op.history];
    case 'list':
      return ['l', op.prefix, op.after, op.limit];
    case 'sweep':
      return ['w', op.after, op.limit];
    case 'ping':
      return ['g'];
  }
}

const HELD: Answer = { kind: 'held' };
const DUP: Answer = { kind: 'dup' };
const MISMATCH: Answer = { kind: 'mismatch' };
const MATCHED: Answer = { kind: 'released', matched: true };
const UNMATCHED: Answer = { kind: 'released', matched: false };

type HolderTuple = [string, string, string, string, number, string, number, string];
type ViewTuple = [string, HolderTuple | false, string, string, string[] | object];

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
    }
  }
  return parseTuple(JSON.parse(text) as [string, ...unknown[]], nowMicros);
}

function parseTuple(tuple: [string, ...unknown[]], nowMicros: number): Answer {
  const [kind, first, second, third] = tuple;
  switch (kind) {
    case 'c':
      return { kind: 'conflict', holders: (first as HolderTuple[]).map(holderOf) };
    case 's':
      return { kind: 'stale', fence: BigInt(first as string) };
    case 'e':
      return {
        kind: 'extended',
        holder: holderOf(first as HolderTuple),
        markerKey: second as string,
        markerDigest: third as string,
      };
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
  return { resource, leaseRef, token: BigInt(token), owner, remainingMs, card, binding, progress };
}

/** How the scripts abbreviate a fence's state. */
export const fenceStates: Record<string, 'open' | ClosedWhy> = {
  o: 'open',
  r: 'released',
  f: 'forced',
  u: 'undone',
};

function viewOf(tuple: ViewTuple): NodeView {
  const [resource, holder, fence, state, history] = tuple;
  return {
    resource,
    ...(holder === false ? {} : { holder: holderOf(holder) }),
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
