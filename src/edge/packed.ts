/** What a client compressed stays so until it is served: as it came it takes its bytes, unpacked a thousand times as many. */
import { gunzipSync, inflateSync } from 'node:zlib';
import { status } from '@grpc/grpc-js';
import { limits } from '../domain/limits.ts';

type Unpacking = (bytes: Buffer, options: { maxOutputLength: number }) => Buffer;

const UNPACKING: ReadonlyMap<string, Unpacking> = new Map([
  ['gzip', gunzipSync],
  ['deflate', inflateSync],
]);
/** Messages of services that are not ours (health, reflection) are unpacked as they come: a name is all they carry. */
const FOREIGN_BYTES = 4096;

/** A status as grpc-js wants it thrown; its texts are those of grpc-js. */
interface Fault {
  readonly code: status;
  readonly details: string;
}

/** Not in a thread: a queue of messages that wait for one would be what this file is against. */
function unpacked(bytes: Buffer, unpack: Unpacking, maxOutputLength: number): Buffer | Fault {
  try {
    return unpack(bytes, { maxOutputLength });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
      ? { code: status.RESOURCE_EXHAUSTED, details: 'Received message that decompresses to a larger size' }
      : { code: status.INTERNAL, details: 'Failed to decompress message' };
  }
}

/** One message of a call of ours. */
export class Packed {
  readonly #bytes: Buffer;
  readonly #unpack: Unpacking;

  constructor(bytes: Buffer, unpack: Unpacking) {
    this.#bytes = bytes;
    this.#unpack = unpack;
  }

  unpacked(): Buffer | Fault {
    return unpacked(this.#bytes, this.#unpack, limits.messageBytes);
  }
}

function unpackingOf(encoding: string): Unpacking {
  const unpack = UNPACKING.get(encoding);
  if (unpack !== undefined) return unpack;
  throw { code: status.UNIMPLEMENTED, details: 'the compression of the message is not supported' };
}

/** Flag and length, which the caller has read. */
const PREFIX_BYTES = 5;
type Decompress = (this: Unpacker, framed: Buffer, encoding: string) => Buffer | Packed;
/** A call of grpc-js. */
interface Unpacker {
  decompressMessage: Decompress;
}

function keep(framed: Buffer, encoding: string): Buffer | Packed {
  const bytes = framed.subarray(PREFIX_BYTES);
  return encoding === 'identity' ? bytes : new Packed(bytes, unpackingOf(encoding));
}

function unpackNow(this: Unpacker, framed: Buffer, encoding: string): Buffer {
  const bytes = framed.subarray(PREFIX_BYTES);
  if (encoding === 'identity') return bytes;
  const message = unpacked(bytes, unpackingOf(encoding), FOREIGN_BYTES);
  if (Buffer.isBuffer(message)) return message;
  // That ends the call; ten thousand more may have come with it, and to fail is slow.
  this.decompressMessage = () => {
    throw message;
  };
  throw message;
}

/**
 * grpc-js unpacks what has come before anybody asks for it, and also when the call is long over: 20 MB on one connection
 * became 2.6 GB within seconds. It has no option for it; if the method goes, test/fault/hostile-guards
 * .test.ts says so. What `keep` makes of a message reaches `requestDeserialize` (protos.ts).
 */
export function unpackLate(call: object, ours: boolean): void {
  (call as Unpacker).decompressMessage = ours ? keep : unpackNow;
}
