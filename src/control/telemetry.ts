/** The probe that the path is given: hands each announcement to every sink, and lets none of them fail the path. */
import type { Probe } from '../domain/probe.ts';

export interface Sink {
  /** For counting its failures. */
  readonly name: string;
  /** A sink takes what it cares about. */
  readonly probe: Partial<Probe>;
}

type Listener = (...facts: unknown[]) => void;

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
    const announce: Listener = (...facts) => {
      for (const { name, listen } of listeners) {
        try {
          listen(...facts);
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
    kept: relay('kept'),
    held: relay('held'),
    batch: relay('batch'),
    nodeState: relay('nodeState'),
    undosOwed: relay('undosOwed'),
    ownershipViolation: relay('ownershipViolation'),
    happened: relay('happened'),
    acted: relay('acted'),
    notice: relay('notice'),
  };
}
