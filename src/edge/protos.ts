/** The contract as grpc-js needs it: service definitions, and the descriptors that reflection shows. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ServiceDefinition, status } from '@grpc/grpc-js';
import { loadSync, type Options, type PackageDefinition } from '@grpc/proto-loader';
import { protoPath as healthProtoPath } from 'grpc-health-check';
import protobuf from 'protobufjs';
import type { AdminServiceDefinition } from './gen/holdfast/v1/AdminService.ts';
import type { LockServiceDefinition } from './gen/holdfast/v1/LockService.ts';
import type { SessionRequest__Output } from './gen/holdfast/v1/SessionRequest.ts';
import { Packed } from './packed.ts';
import { describable } from './reflection.ts';

const PROTO_FOLDER = fileURLToPath(new URL('../../proto', import.meta.url));
const FILES = ['holdfast/v1/lock.proto', 'holdfast/v1/admin.proto', 'holdfast/v1/error.proto'];
/** The same as in scripts/gen-types.sh, else the generated types lie. */
const OPTIONS: Options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };

export const LOCK_SERVICE = 'holdfast.v1.LockService';
export const ADMIN_SERVICE = 'holdfast.v1.AdminService';

/** What a request that is no protobuf message decodes to: the handler's wrapper refuses it by a typed reason. */
export const MALFORMED: object = Object.freeze({});

export interface Contract {
  readonly locks: LockServiceDefinition;
  readonly admin: AdminServiceDefinition;
  /** Everything that reflection shows: ours and the health service's. */
  readonly described: PackageDefinition;
}

/** grpc-js answers INTERNAL, without details, when a decoder throws; so ours does not. */
function forgiving(definition: ServiceDefinition): ServiceDefinition {
  const methods = Object.entries(definition).map(([name, method]) => {
    const requestDeserialize = (bytes: Buffer | Packed): unknown => {
      // The interceptor asks again once it is unpacked.
      if (bytes instanceof Packed) return bytes;
      try {
        return method.requestDeserialize(bytes);
      } catch {
        return MALFORMED;
      }
    };
    return [name, { ...method, requestDeserialize }];
  });
  return Object.fromEntries(methods);
}

/** Calls whose answers are made by us in the very form that the wire needs (encode.ts): enums and numbers as numbers. */
const HOT = {
  Acquire: 'AcquireResponse',
  Heartbeat: 'HeartbeatResponse',
  Release: 'ReleaseResponse',
  Hold: 'HoldResponse',
  Session: 'SessionResponse',
} as const;

/** proto-loader turns each answer into a message object first, field by field; that costs as much as to write it. */
function written(definition: ServiceDefinition, root: protobuf.Root): ServiceDefinition {
  const methods = Object.entries(HOT).map(([name, answer]) => {
    const type = root.lookupType(`holdfast.v1.${answer}`);
    const responseSerialize = (message: object): Buffer => type.encode(message).finish() as Buffer;
    return [name, { ...definition[name]!, responseSerialize }];
  });
  return { ...definition, ...Object.fromEntries(methods) };
}

/**
 * One message of a session as it came: grpc-js reads several ahead, and only what is served next shall take more than
 * its bytes. Read without proto-loader, which takes three times as long: 64-bit numbers stay in two halves, enums
 * numbers, and what is absent is inherited.
 */
export class UnreadRequest {
  readonly #type: protobuf.Type;
  readonly #bytes: Buffer | Packed;
  #tooLarge = false;

  constructor(type: protobuf.Type, bytes: Buffer | Packed) {
    this.#type = type;
    this.#bytes = bytes;
  }

  /** Why it could not be read, if so: it would be larger than a message may be. */
  get tooLarge(): boolean {
    return this.#tooLarge;
  }

  /** Undefined if it is no message of a session. */
  read(): SessionRequest__Output | undefined {
    const bytes = this.#bytes instanceof Packed ? this.#bytes.unpacked() : this.#bytes;
    if (!Buffer.isBuffer(bytes)) {
      this.#tooLarge = bytes.code === status.RESOURCE_EXHAUSTED;
      return undefined;
    }
    try {
      return this.#type.decode(bytes) as unknown as SessionRequest__Output;
    } catch {
      return undefined;
    }
  }
}

function unread(definition: ServiceDefinition, root: protobuf.Root): ServiceDefinition {
  const type = root.lookupType('holdfast.v1.SessionRequest');
  const requestDeserialize = (bytes: Buffer | Packed): UnreadRequest => new UnreadRequest(type, bytes);
  return { ...definition, Session: { ...definition.Session!, requestDeserialize } };
}

function contractRoot(): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => join(PROTO_FOLDER, target);
  return root.loadSync(FILES[0]!, { keepCase: true });
}

export function loadContract(): Contract {
  const ours = loadSync(FILES, { ...OPTIONS, includeDirs: [PROTO_FOLDER] });
  const root = contractRoot();
  const locks = ours[LOCK_SERVICE] as ServiceDefinition;
  const health = loadSync(healthProtoPath, OPTIONS);
  return {
    locks: unread(written(forgiving(locks), root), root) as LockServiceDefinition,
    admin: forgiving(ours[ADMIN_SERVICE] as ServiceDefinition) as AdminServiceDefinition,
    described: describable({ ...ours, ...health }),
  };
}
