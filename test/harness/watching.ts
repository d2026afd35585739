/** One Watch stream of a replica, and what has been told on it. */
import { Client } from '@grpc/grpc-js';
import type { Event__Output } from '../../src/edge/gen/holdfast/v1/Event.ts';
import type { WatchRequest } from '../../src/edge/gen/holdfast/v1/WatchRequest.ts';
import type { WatchResponse__Output } from '../../src/edge/gen/holdfast/v1/WatchResponse.ts';
import { loadContract } from '../../src/edge/protos.ts';
import type { TestReplica } from './replica.ts';
import { channelOf, type Shown } from './shown.ts';

const contract = loadContract();

export const wordOf = ({ type }: Event__Output): string => type.replace('EVENT_TYPE_', '').toLowerCase();

export class WatchReader {
  readonly events: Event__Output[] = [];
  missed = 0;
  close: () => void = () => {};

  /** Resolves when the watch stands: what happens from then on is told. Rejects where it is refused. */
  async open(at: TestReplica | string, request: WatchRequest, shown: Shown = {}): Promise<this> {
    const { creds, options } = channelOf(shown);
    const client = new Client(typeof at === 'string' ? at : at.replica.addresses[0]!, creds, options);
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
    await new Promise((resolve, reject) => {
      call.once('metadata', resolve);
      call.once('error', reject);
    }).catch((error: unknown) => {
      client.close();
      throw error;
    });
    return this;
  }
}
