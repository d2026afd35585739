/** The probe that the path is given: hands each announcement to every sink, and lets none of them fail the path. */
import type { Probe } from '../domain/probe.ts';

export interface Sink {
  /** For counting its failures. */
  readonly name: string;
  /** A sink takes what it cares about. */
  readonly probe: Partial<Probe>;
}

/** No announcement has more than four facts. */
type Listener = (a: unknown, b: unknown, c: unknown, d: unknown) => void;

/** `onFailure` is told which sink threw; what it throws itself is dropped. */
export function createTelemetry(
  sinks: readonly Sink[],
  onFailure: (sink: string, error: unknown) => void,
): Probe {
  const relay = <K extends keyof Probe>(event: K): Probe[K] => {
    const listeners = sinks.flatMap(({ name, probe }) => {
      const listen = probe[event] as Listener | undefined;
      return listen === undefined ? [] : [{ name, listen: listen.bind(probe) }];
    });
    // No rest parameter: an array for each announcement would be the dearest part of most of them.
    const announce: Listener = (a, b, c, d) => {
      for (let at = 0; at < listeners.length; at += 1) {
        const { name, listen } = listeners[at]!;
        try {
          listen(a, b, c, d);
        } catch (error) {
          failed(name, error);
        }
      }
    };
    return announce as Probe[K];
  };
  const failed = (name: string, error: unknown): void => {
    try {
      onFailure(name, error);
    } catch {
      // A broken counter of failures has nobody left to tell.
    }
  };
  return {
    operation: relay('operation'),
    vote: relay('vote'),
    waiters: relay('waiters'),
    waited: relay('waited'),
    handedOver: relay('handedOver'),
    kept: relay('kept'),
    batch: relay('batch'),
    roundTrip: relay('roundTrip'),
    nodeState: relay('nodeState'),
    undosOwed: relay('undosOwed'),
    ownershipViolation: relay('ownershipViolation'),
    staleToken: relay('staleToken'),
    happened: relay('happened'),
    ...(sinks.some(({ probe }) => probe.acted !== undefined) ? { audited: true } : {}),
    acted: relay('acted'),
    denied: relay('denied'),
    overQuota: relay('overQuota'),
    notice: relay('notice'),
  };
}
