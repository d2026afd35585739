/** The contract as grpc-js needs it: service definitions, and the descriptors that reflection shows. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { loadSync, type Options, type PackageDefinition } from '@grpc/proto-loader';
import { protoPath as healthProtoPath } from 'grpc-health-check';
import protobuf from 'protobufjs';
import type { AdminServiceDefinition } from './gen/holdfast/v1/AdminService.ts';
import type { LockServiceDefinition } from './gen/holdfast/v1/LockService.ts';
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
function forgiving<Definition extends ServiceDefinition>(definition: ServiceDefinition): Definition {
  const methods = Object.entries(definition).map(([name, method]) => {
    const requestDeserialize = (bytes: Buffer): unknown => {
      try {
        return method.requestDeserialize(bytes);
      } catch {
        return MALFORMED;
      }
    };
    return [name, { ...method, requestDeserialize }];
  });
  return Object.fromEntries(methods) as Definition;
}

/** Calls whose answers are made by us in the very form that the wire needs (encode.ts): enums and numbers as numbers. */
const HOT = {
  Acquire: 'AcquireResponse',
  Heartbeat: 'HeartbeatResponse',
  Release: 'ReleaseResponse',
} as const;

/** proto-loader turns each answer into a message object first, field by field; that costs as much as to write it. */
function written(definition: ServiceDefinition): ServiceDefinition {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => join(PROTO_FOLDER, target);
  root.loadSync(FILES[0]!, { keepCase: true });
  const methods = Object.entries(HOT).map(([name, answer]) => {
    const type = root.lookupType(`holdfast.v1.${answer}`);
    const responseSerialize = (message: object): Buffer => type.encode(message).finish() as Buffer;
    return [name, { ...definition[name]!, responseSerialize }];
  });
  return { ...definition, ...Object.fromEntries(methods) };
}

export function loadContract(): Contract {
  const ours = loadSync(FILES, { ...OPTIONS, includeDirs: [PROTO_FOLDER] });
  const health = loadSync(healthProtoPath, OPTIONS);
  return {
    locks: forgiving<LockServiceDefinition>(written(ours[LOCK_SERVICE] as ServiceDefinition)),
    admin: forgiving<AdminServiceDefinition>(ours[ADMIN_SERVICE] as ServiceDefinition),
    described: describable({ ...ours, ...health }),
  };
}
