/** A lone Acquire at the fake: answered once, and given up when its caller goes. */
import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import type { AcquireRequestRead, AcquireResponse } from '../gen/messages.ts';
import { decodeAcquire } from './decode.ts';
import type { Desk } from './desk.ts';
import { encodeBusy, encodeLease, statusOf } from './encode.ts';
import type { Refusal } from './refusals.ts';

export function acquire(
  desk: Desk,
  call: ServerUnaryCall<AcquireRequestRead, AcquireResponse>,
  answer: sendUnaryData<AcquireResponse>,
): void {
  const decoded = decodeAcquire(call.request, desk.range);
  desk.log('acquire', decoded.ok ? decoded.value : { resources: call.request.resources });
  const refused = (refusal: Refusal): void => desk.pass(() => answer(statusOf(refusal)));
  const refusal = decoded.ok ? desk.refusal('acquire') : decoded.refusal;
  if (refusal !== undefined || !decoded.ok) {
    refused(refusal as Refusal);
    return;
  }
  const asked = desk.locks.acquire(decoded.value, {
    granted: (lease, replayed) => {
      desk.pass(() => {
        // Nobody hears of it: it may not stay.
        if (call.cancelled && !replayed) desk.locks.release(lease.leaseId);
        else answer(null, { lease: encodeLease(lease, replayed) });
      });
    },
    busy: (busy) => desk.pass(() => answer(null, { busy: encodeBusy(busy) })),
    refused,
    queued: () => {},
  });
  call.on('cancelled', () => asked.giveUp());
}
