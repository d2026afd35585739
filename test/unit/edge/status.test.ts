/** Refusals as they travel: read back by protobuf reflection over Google's own definitions, not by our writer. */
import { Metadata, status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import {
  invalidFields,
  leaseLost,
  noQuorum,
  type Reason,
  type Refusal,
  refusals,
  refuse,
} from '../../../src/domain/refusals.ts';
import { draining, internal, toStatus } from '../../../src/edge/status.ts';
import { decodeStatus } from './rpc-status.ts';

describe('a refusal on the wire', () => {
  test.each(Object.keys(refusals) as Reason[])('%s carries its code and reason', (reason) => {
    const wire = toStatus(refuse(reason, 'so it is'));
    expect(wire.code).toBe(status[refusals[reason].code]);
    expect(wire.details).toBe(`${reason}: so it is`);
    const said = decodeStatus(wire.metadata);
    expect(said).toMatchObject({ code: wire.code, message: wire.details });
    expect(said.details).toEqual({ ErrorInfo: { reason, domain: 'holdfast', metadata: {} } });
  });

  test('metadata travels in ErrorInfo', () => {
    const { details } = decodeStatus(toStatus(leaseLost('forced')).metadata);
    expect(details.ErrorInfo?.metadata).toEqual({ why: 'forced' });
  });

  test('NO_QUORUM says when to come back', () => {
    const { details } = decodeStatus(toStatus(noQuorum(1, 3, 1250)).metadata);
    expect(details.ErrorInfo?.metadata).toEqual({ answered: '1', nodes: '3' });
    expect(details.RetryInfo).toEqual({ retry_delay: { seconds: 1, nanos: 250_000_000 } });
  });

  test('DRAINING says when to come back', () => {
    expect(decodeStatus(toStatus(draining).metadata).details).toHaveProperty('RetryInfo');
  });

  test('every bad field travels in BadRequest', () => {
    const fields = [
      { field: 'owner', description: 'must not be empty' },
      { field: 'labels["tëam"]', description: 'value must be at most 256 characters' },
    ];
    const wire = toStatus(invalidFields(fields));
    expect(decodeStatus(wire.metadata).details.BadRequest).toEqual({ field_violations: fields });
    expect(wire.details).toBe(
      `INVALID_FIELD: owner must not be empty; ${fields[1]!.field} ${fields[1]!.description}`,
    );
  });

  test('INTERNAL tells nothing of its cause', () => {
    expect(toStatus(internal).details).toBe('INTERNAL: a defect of the service; its log has the details');
  });
});

describe('a refusal of any size', () => {
  const headerBytes = (refusal: Refusal): number => {
    const { details, metadata } = toStatus(refusal);
    const headers = metadata.toHttp2Headers();
    const texts = [encodeURI(details), ...Object.values(headers).flat().map(String)];
    return texts.reduce((sum, text) => sum + text.length, 0);
  };

  test('keeps within the 8 KiB of headers that every client takes, and still names all fields', () => {
    const fields = Array.from({ length: 110 }, (_, at) => ({
      field: `resources[${at}]`,
      description: 'may hold only letters, digits and . _ : / @ + -',
    }));
    const wire = toStatus(invalidFields(fields));
    expect(headerBytes(invalidFields(fields))).toBeLessThan(8000);
    const bad = decodeStatus(wire.metadata).details.BadRequest as { field_violations: { field: string }[] };
    expect(bad.field_violations.map(({ field }) => field)).toEqual(fields.map(({ field }) => field));
  });

  test('keeps within it whatever the fields, descriptions and metadata are', () => {
    const huge = '\u{1f512}'.repeat(5000);
    const refusal = refuse('INVALID_FIELD', huge, {
      metadata: { cycle: huge },
      fields: Array.from({ length: 500 }, () => ({
        field: `labels["${'ä'.repeat(64)}"]`,
        description: huge,
      })),
    });
    expect(headerBytes(refusal)).toBeLessThan(8000);
  });

  test('is sent even if its text cannot be written as UTF-8', () => {
    const { details } = toStatus(
      refuse('DEADLOCK', `a waits for \ud800 ${'x'.repeat(340)}\u{1f512}\u{1f512}`.repeat(9)),
    );
    expect(() => encodeURI(details)).not.toThrow();
  });
});

test('metadata of a status is of grpc-js', () => {
  expect(toStatus(internal).metadata).toBeInstanceOf(Metadata);
});
