/**
 * One batch of operations as bytes, the way answer.lua reads them: one after the other, each a letter and its fields.
 *
 *   h  name, token, ttlMs, head from and till, PUT    a plain hold: one resource, no request id, no earlier attempt
 *   r  name, token, value                             a plain release: one resource, nothing special about it
 *   b  the same                                       one with binding 0, as a stream's end sends
 *   p  MessagePack of [kind, ...]                     everything else
 * PUT is the record from its fence on, as the node stores it (layout.lua). Numbers are little-endian: float64 tokens,
 * uint32 ttlMs, uint16 lengths and places, but one byte for the length of a name and of a value.
 *
 * Built as a "binary string", one character a byte: pieces join for almost nothing, and the batch is copied once.
 */
import { Packr } from 'msgpackr';
import { limits } from '../domain/limits.ts';
import type { Place } from './line.ts';
import type { HoldOp, NodeOp, ReleaseOp, RepairOp } from './node.ts';

// Arrays, strings and small integers only: what the nodes' cmsgpack and any other reader agree on.
const packer = new Packr({ useRecords: false, variableMapSize: true });

const BYTE_MAX = 0xff;
const SHORT_MAX = 0xffff;
const WORD_MAX = 0xffff_ffff;
/** Fence and measures, which precede the body in a PUT. */
const BEFORE_BODY = 12;

/** Votes go to all nodes in the same tick, so the batch of the next node is nearly always the one just made. */
let latest: { readonly operations: readonly NodeOp[]; readonly bytes: Buffer } | undefined;

/** ARGV[7] of gate.lua. */
export function batchBytes(operations: readonly NodeOp[]): Buffer {
  if (latest !== undefined && same(latest.operations, operations)) return latest.bytes;
  let text = '';
  for (const op of operations) text += plainText(op) ?? packedText(op);
  const bytes = Buffer.from(text, 'latin1');
  latest = { operations, bytes };
  return bytes;
}

function same(a: readonly NodeOp[], b: readonly NodeOp[]): boolean {
  return a.length === b.length && a.every((op, index) => op === b[index]);
}

function plainText(op: NodeOp): string | undefined {
  if (op.kind === 'hold') return plainHold(op);
  return op.kind === 'release' ? plainRelease(op) : undefined;
}

function plainHold(op: HoldOp): string | undefined {
  if (op.resources.length !== 1 || op.marker !== undefined || op.seen !== 0n || op.ttlMs > WORD_MAX)
    return undefined;
  // Whoever has a place in line has asked before: nothing is at its commonest there.
  if (op.mode !== undefined || op.place !== undefined) return undefined;
  const name = binary(op.resources[0]!);
  const [body, from, length, till] = bodyOf(op);
  const put = binary(body);
  if (name.length > BYTE_MAX || length > BYTE_MAX || put.length + BEFORE_BODY > SHORT_MAX) return undefined;
  const token = double(Number(op.token));
  const at = short(from + BEFORE_BODY) + short(till + BEFORE_BODY) + short(put.length + BEFORE_BODY);
  const measures = String.fromCharCode(from, length) + short(till);
  return `h${char(name.length)}${name}${token}${word(op.ttlMs)}${at}${token}${measures}${put}`;
}

function plainRelease(op: ReleaseOp): string | undefined {
  if (op.resources.length !== 1 || op.why !== 'released' || op.reason !== '' || op.closing) return undefined;
  const letter = op.binding === undefined ? 'r' : 'b';
  if ((op.binding ?? 0) !== 0 || op.value.length > BYTE_MAX) return undefined;
  const name = binary(op.resources[0]!);
  if (name.length > BYTE_MAX) return undefined;
  return `${letter}${char(name.length)}${name}${double(Number(op.token))}${char(op.value.length)}${op.value}`;
}

function packedText(op: NodeOp): string {
  const packed = packer.pack(operationTuple(op)) as Buffer;
  return `p${word(packed.length)}${packed.toString('latin1')}`;
}

/** As UTF-8, one character a byte. Nearly everything is ASCII, which is that already. */
function binary(text: string): string {
  return Buffer.byteLength(text) === text.length ? text : Buffer.from(text).toString('latin1');
}

function char(value: number): string {
  return String.fromCharCode(value);
}

function short(value: number): string {
  return String.fromCharCode(value & 0xff, value >> 8);
}

function word(value: number): string {
  return String.fromCharCode(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
}

const float = new Float64Array(1);
const floatBytes = new Uint8Array(float.buffer);

/** Little-endian as every machine that Node 24 runs on. */
function double(value: number): string {
  float[0] = value;
  const [a, b, c, d, e, f, g, h] = floatBytes as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return String.fromCharCode(a, b, c, d, e, f, g, h);
}

/** What nodes store of a lease as it is, and where in it they find its value and the head of its events. */
function bodyOf(op: HoldOp | RepairOp): [string, number, number, number] {
  const told = `${op.value}\u001f${op.leaseRef}\u001f${op.owner}`;
  return [told + op.card, op.secret.length + 2, op.value.length, Buffer.byteLength(told)];
}

/** Most operations name one resource, and a bare name is cheaper to unpack than a list of one. */
function namesOf(resources: readonly string[]): string | readonly string[] {
  return resources.length === 1 ? resources[0]! : resources;
}

/** A tail of nothing but defaults stays at home: the script reads what is missing as these. */
function operationTuple(op: NodeOp): unknown[] {
  switch (op.kind) {
    case 'hold': {
      const { token, resources, ttlMs, seen, marker, mode, place, among } = op;
      const tuple: unknown[] = ['h', namesOf(resources), Number(token), ttlMs, ...bodyOf(op)];
      if (mode !== undefined || place !== undefined || among !== undefined) {
        tuple.push(Number(seen), marker?.key ?? '', marker?.digest ?? '', mode === 'shared' ? 1 : 0);
        if (place !== undefined || among !== undefined)
          tuple.push(place === undefined ? 0 : placeTuple(place));
        if (among !== undefined) tuple.push(among);
      } else if (marker !== undefined) tuple.push(Number(seen), marker.key, marker.digest);
      else if (seen !== 0n) tuple.push(Number(seen));
      return tuple;
    }
    case 'renew': {
      const { resources, token, value, ttlMs, leaseRef, progress, binding } = op;
      const tuple = ['n', namesOf(resources), Number(token), value, ttlMs, leaseRef, progress ?? ''];
      return binding === undefined ? tuple : [...tuple, binding, op.binds === true ? 1 : 0];
    }
    case 'repair': {
      const { resources, token, ttlMs, binding, progress, marker } = op;
      const held = ['p', namesOf(resources), Number(token), ttlMs, ...bodyOf(op), binding, progress];
      const marked = [...held, marker?.key ?? '', marker?.digest ?? ''];
      return op.mode === undefined ? marked : [...marked, 1];
    }
    case 'release': {
      const tuple = ['r', namesOf(op.resources), Number(op.token), op.value];
      if (op.why === 'released' && op.reason === '' && !op.closing && op.binding === undefined) return tuple;
      const { why, reason, closing, binding, seen, markerKey } = op;
      tuple.push(why, reason, closing ? 1 : 0, binding ?? -1, Number(seen), markerKey ?? '');
      return tuple;
    }
    case 'force':
      return ['f', op.resource, op.leaseRef, op.reason];
    case 'look':
      return op.line === undefined ? ['v', op.resource, op.history] : ['v', op.resource, op.history, op.line];
    case 'list':
      return ['l', op.prefix, op.after, op.limit];
    case 'sweep':
      return ['w', op.after, op.limit];
    case 'ping':
      return ['g'];
    case 'join':
      return ['j', placeTuple(op.place)];
    case 'leave':
      return ['y', op.id, op.mode === 'shared' ? 1 : 0, namesOf(op.resources), op.replica];
    case 'waits':
      return ['o', op.owner];
    case 'settle':
      return op.deep === true
        ? ['s', namesOf(op.resources), limits.waitersShown]
        : ['s', namesOf(op.resources)];
    case 'reveal':
      return ['V', op.resource, op.leaseRef];
    case 'bar':
      return ['B', namesOf(op.resources), Number(op.token), op.value, op.mode === undefined ? 0 : 1];
    case 'watch':
      return ['k', op.forMs];
    case 'tell':
      return ['t', namesOf(op.resources), Number(op.token), op.leaseRef, op.owner, op.reason];
  }
}

/** As line.lua reads it. */
function placeTuple(place: Place): unknown[] {
  const { id, ticket, order, priority, replica, owner, mode, any, resources, livenessMs, most } = place;
  const shared = mode === 'shared' ? 1 : 0;
  return [
    id,
    ticket,
    order,
    priority,
    replica,
    owner,
    shared,
    any,
    namesOf(resources),
    Math.ceil(livenessMs),
    most,
  ];
}
