/** The messages of a Session as bytes, by hand: what the callers of a benchmark write and read of lock.proto, and no more. */
import { MESSAGE_HEAD } from './light-wire.ts';

/** lock.proto takes no more in one message. */
export const MOST_OPS = 1024;
/** Room for one operation beside its texts. */
const MARGIN = 64;

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** The first byte of a field with a number below 16. */
const tag = (field: number, wire: number): number => field * 8 + wire;

function sizeOf(value: number): number {
  let size = 1;
  for (let left = value; left >= 128; left = Math.floor(left / 128)) size += 1;
  return size;
}

/** The operations of one turn, until they are taken as one message. Texts are ASCII. */
export class OpWriter {
  count = 0;
  #bytes = Buffer.allocUnsafe(65_536);
  #at = MESSAGE_HEAD;

  acquire(seq: number, resource: string, owner: string, ttlS: number, waitS: number): void {
    const ttl = 1 + sizeOf(ttlS);
    const wait = waitS === 0 ? 0 : 1 + sizeOf(waitS);
    const texts = 1 + sizeOf(resource.length) + resource.length + 1 + sizeOf(owner.length) + owner.length;
    const ask = texts + 2 + ttl + (wait === 0 ? 0 : 2 + wait);
    this.#op(seq, 2, ask);
    this.#text(1, resource);
    this.#text(2, owner);
    this.#duration(3, ttl, ttlS);
    if (wait > 0) this.#duration(4, wait, waitS);
  }

  release(seq: number, leaseId: Buffer): void {
    this.#op(seq, 4, 1 + sizeOf(leaseId.length) + leaseId.length);
    this.#bytes[this.#at++] = tag(1, BYTES);
    this.#varint(leaseId.length);
    this.#at += leaseId.copy(this.#bytes, this.#at);
  }

  /** The gRPC message of all that was written since the last one. */
  take(): Buffer {
    const message = Buffer.from(this.#bytes.subarray(0, this.#at));
    message[0] = 0;
    message.writeUInt32BE(this.#at - MESSAGE_HEAD, 1);
    this.#at = MESSAGE_HEAD;
    this.count = 0;
    return message;
  }

  /** `SessionRequest.ops`, its `seq`, and the head of what is asked for. */
  #op(seq: number, field: number, ask: number): void {
    this.#makeRoom(ask + MARGIN);
    this.count += 1;
    this.#bytes[this.#at++] = tag(1, BYTES);
    this.#varint(1 + sizeOf(seq) + 1 + sizeOf(ask) + ask);
    this.#bytes[this.#at++] = tag(1, VARINT);
    this.#varint(seq);
    this.#bytes[this.#at++] = tag(field, BYTES);
    this.#varint(ask);
  }

  #text(field: number, text: string): void {
    this.#bytes[this.#at++] = tag(field, BYTES);
    this.#varint(text.length);
    this.#at += this.#bytes.write(text, this.#at, 'latin1');
  }

  #duration(field: number, size: number, seconds: number): void {
    this.#bytes[this.#at++] = tag(field, BYTES);
    this.#bytes[this.#at++] = size;
    this.#bytes[this.#at++] = tag(1, VARINT);
    this.#varint(seconds);
  }

  #varint(value: number): void {
    let left = value;
    for (; left >= 128; left = Math.floor(left / 128)) this.#bytes[this.#at++] = (left % 128) + 128;
    this.#bytes[this.#at++] = left;
  }

  #makeRoom(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(2 * (this.#bytes.length + bytes));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

/** What a SessionResponse says, as far as anybody here asks. */
export interface Heard {
  /** `leaseId` is a part of the message. */
  granted(seq: number, leaseId: Buffer, token: number): void;
  released(seq: number, released: boolean): void;
  /** Busy, or an error. */
  refused(seq: number, why: string): void;
  lost(seq: number): void;
}

/** Walks the fields of one message after the other; none is copied. */
class Fields {
  readonly bytes: Buffer;
  at: number;
  /** The field that `next` found. */
  field = 0;
  #wire = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.at = 0;
  }

  next(end: number): boolean {
    if (this.at >= end) return false;
    const head = this.varint();
    this.field = head >>> 3;
    this.#wire = head & 7;
    return true;
  }

  /** Exact below 2^53. */
  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes[this.at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  /** Where the message ends that begins here. */
  end(): number {
    const length = this.varint();
    return this.at + length;
  }

  text(): Buffer {
    const end = this.end();
    const text = this.bytes.subarray(this.at, end);
    this.at = end;
    return text;
  }

  skip(): void {
    if (this.#wire === VARINT) this.varint();
    else if (this.#wire === BYTES) this.at = this.end();
    else if (this.#wire === FIXED64) this.at += 8;
    else if (this.#wire === FIXED32) this.at += 4;
    else throw new Error(`field ${this.field} has wire type ${this.#wire}`);
  }
}

/** `AcquireResponse`: the lease's id and token. */
function readAcquired(fields: Fields, seq: number, end: number, heard: Heard): void {
  let leaseId: Buffer | undefined;
  let token = 0;
  while (fields.next(end)) {
    if (fields.field !== 1) {
      fields.skip();
      continue;
    }
    const leaseEnd = fields.end();
    while (fields.next(leaseEnd)) {
      if (fields.field === 1) leaseId = fields.text();
      else if (fields.field === 4) token = fields.varint();
      else fields.skip();
    }
  }
  if (leaseId === undefined) heard.refused(seq, 'busy');
  else heard.granted(seq, leaseId, token);
}

function readReleased(fields: Fields, end: number): boolean {
  let released = false;
  while (fields.next(end)) {
    if (fields.field === 1) released = fields.varint() === 1;
    else fields.skip();
  }
  return released;
}

function readError(fields: Fields, end: number): string {
  let [reason, message] = ['', ''];
  while (fields.next(end)) {
    if (fields.field === 2) reason = fields.text().toString();
    else if (fields.field === 3) message = fields.text().toString();
    else fields.skip();
  }
  return `${reason}: ${message}`;
}

/** `SessionResult`; `seq` comes first, as every encoder writes it. */
function readResult(fields: Fields, end: number, heard: Heard): void {
  let seq = 0;
  while (fields.next(end)) {
    if (fields.field === 1) seq = fields.varint();
    else if (fields.field === 2) readAcquired(fields, seq, fields.end(), heard);
    else if (fields.field === 4) heard.released(seq, readReleased(fields, fields.end()));
    else if (fields.field === 8) heard.refused(seq, readError(fields, fields.end()));
    else fields.skip();
  }
}

/** `SessionEvent`: of these only `lost` matters here. */
function readEvent(fields: Fields, end: number, heard: Heard): void {
  let seq = 0;
  let lost = false;
  while (fields.next(end)) {
    if (fields.field === 1) seq = fields.varint();
    else {
      if (fields.field === 5) lost = true;
      fields.skip();
    }
  }
  if (lost) heard.lost(seq);
}

export function readSessionResponse(message: Buffer, heard: Heard): void {
  const fields = new Fields(message);
  while (fields.next(message.length)) {
    if (fields.field === 1) readResult(fields, fields.end(), heard);
    else if (fields.field === 2) readEvent(fields, fields.end(), heard);
    else fields.skip();
  }
}
