/** The service's side of the wire: requests read and answers written by the descriptor of the contract. */
import type { ServiceDefinition } from '@grpc/grpc-js';
import protobuf from 'protobufjs/light.js';
import { descriptor } from '../gen/descriptor.ts';

const root = protobuf.Root.fromJSON(descriptor as protobuf.INamespace);

/** Every rpc of a service, as grpc-js serves it. */
export function served(service: 'LockService' | 'AdminService'): ServiceDefinition {
  const path = `holdfast.v1.${service}`;
  const { methods } = root.lookupService(path);
  return Object.fromEntries(
    Object.values(methods).map((method) => {
      const { name, requestType, responseType, requestStream = false, responseStream = false } = method;
      const asked = root.lookupType(`holdfast.v1.${requestType}`);
      const answered = root.lookupType(`holdfast.v1.${responseType}`);
      const write = (message: object): Buffer => answered.encode(message).finish() as Buffer;
      const read = (bytes: Buffer): protobuf.Message => asked.decode(bytes);
      const never = (): never => {
        throw new Error('the fake only serves');
      };
      return [
        name,
        {
          path: `/${path}/${name}`,
          requestStream,
          responseStream,
          requestSerialize: never,
          requestDeserialize: read,
          responseSerialize: write,
          responseDeserialize: never,
        },
      ];
    }),
  );
}
