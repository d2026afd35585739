/** Messages to bytes and back, by code that protobufjs makes once from the descriptor of the contract. */
import protobuf from 'protobufjs/light.js';
import { descriptor } from '../gen/descriptor.ts';

const root = protobuf.Root.fromJSON(descriptor as protobuf.INamespace);

/** Writes messages of one kind and reads those of another. */
export interface Method<Request, Response> {
  readonly path: string;
  readonly write: (request: Request) => Buffer;
  readonly read: (bytes: Buffer) => Response;
}

/** One rpc of `holdfast.v1`, by the names of the contract. */
export function method<Request extends object, Response>(
  service: 'LockService' | 'AdminService',
  name: string,
): Method<Request, Response> {
  const { requestType, responseType } = root.lookupService(`holdfast.v1.${service}`).methods[name]!;
  const asked = root.lookupType(`holdfast.v1.${requestType}`);
  const answered = root.lookupType(`holdfast.v1.${responseType}`);
  return {
    path: `/holdfast.v1.${service}/${name}`,
    write: (request) => asked.encode(request).finish() as Buffer,
    read: (bytes) => answered.decode(bytes) as unknown as Response,
  };
}
