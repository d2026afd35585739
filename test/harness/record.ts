/** What one node remembers of one resource, read from its bytes as lua/layout.lua lays them out. */

export interface StoredRecord {
  readonly fence: number;
  /** o or O open, r released, f forced, u undone, - none. */
  readonly state: string;
  /** By the node's clock; 0 for nobody. */
  readonly expiryMicros: number;
  /** Of the holder or, after it, of whoever opened the fence. */
  readonly value: string;
  /** How often a repeat of its request was answered with the holder's value here. */
  readonly binding: number;
}

const EXPIRY = 0;
const STATE = 10;
const BINDING = 11;
const FENCE = 15;
const LENGTH = 24;
const BODY = 27;

export function readRecord(header: Buffer): StoredRecord {
  const length = header.readUInt8(LENGTH);
  return {
    fence: header.readDoubleLE(FENCE),
    state: header.toString('latin1', STATE, STATE + 1),
    expiryMicros: header.readDoubleLE(EXPIRY),
    value: header.toString('utf8', BODY, BODY + length),
    binding: header.readUInt32LE(BINDING),
  };
}

/** The same bytes with another fence. */
export function withFence(header: Buffer, fence: number): Buffer {
  const changed = Buffer.from(header);
  changed.writeDoubleLE(fence, FENCE);
  return changed;
}
