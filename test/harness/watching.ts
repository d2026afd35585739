/** One Watch stream of a replica, and what has been told on it. */
import { Client, credentials } from '@grpc/grpc-js';
import type { Event__Output } from '../../src/edge/gen/holdfast/v1/Event.ts';
import type { WatchRequest } from '../../src/edge/gen/holdfast/v1/WatchRequest.ts';
import type { WatchResponse__Output } from '../../src/edge/gen/holdfast/v1/WatchResponse.ts';
import { loadContract } from '../../src/edge/protos.ts';
import type { TestReplica } from './replica.ts';

const contract = loadContract();

export const wordOf = ({ type }: Event__Output): string => type.replace('EVENT_TYPE_', '').toLowerCase();

export class WatchReader {
  readonly events: Event__Output[] = [];
  missed = 0;
  close: () => void = () => {};

  /** Resolves when the watch stands: what happens from then on is told. */
  async open({ replica }: TestReplica, request: WatchRequest): Promise<this> {
    const client = new Client(replica.addresses[0]!, credentials.createInsecure());
    const { path, requestSerialize, responseDeserialize } = contract.locks.Watch;
    const body = request as never;
    const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, body, {});
    call.on('data', ({ events, missed }: WatchResponse__Output) => {
      this.events.push(...events);
      this.missed += missed;
    });
    call.on('error', () => {});
    this.close = () => {
      call.cancel();
      client.close();
    };
    await new Promise((resolve) => call.once('metadata', resolve));
    return this;
  }
}
