/** Proto JSON with the names of the contract: durations as `30s`, times in RFC 3339, 64-bit numbers as text. */
import type { PackageDefinition } from '@grpc/proto-loader';
import type { Duration__Output } from '../edge/gen/google/protobuf/Duration.ts';
import type { Timestamp__Output } from '../edge/gen/google/protobuf/Timestamp.ts';

/** What proto-loader keeps of a message's descriptor, as far as it is needed here. */
interface Field {
  readonly name: string;
  readonly type: string;
  readonly typeName: string;
  readonly label: string;
}

interface Descriptor {
  readonly field: readonly Field[];
  readonly nestedType: readonly {
    readonly name: string;
    readonly options?: { readonly mapEntry?: boolean } | null;
  }[];
}

/** Led by the descriptor, so that a field added to the contract comes out right without a line here. */
export function protoJson(
  contract: PackageDefinition,
  message: string,
  value: object,
): Record<string, unknown> {
  const descriptor = (contract[message] as { type?: Descriptor } | undefined)?.type;
  if (descriptor === undefined) throw new Error(`the contract has no message ${message}`);
  const out: Record<string, unknown> = {};
  for (const field of descriptor.field) {
    const part = (value as Record<string, unknown>)[field.name];
    // Absent messages and the unset arms of a oneof are left out, as proto JSON does.
    if (part === undefined || part === null) continue;
    const isMap = descriptor.nestedType.some(
      ({ name, options }) => field.typeName === name && options?.mapEntry === true,
    );
    const isMessage = field.type === 'TYPE_MESSAGE' && !isMap;
    const one = (item: unknown) => (isMessage ? messageJson(contract, field.typeName, item as object) : item);
    out[field.name] = Array.isArray(part) ? part.map(one) : one(part);
  }
  return out;
}

function messageJson(contract: PackageDefinition, typeName: string, value: object): unknown {
  const name = typeName.replace(/^\./, '');
  if (name.endsWith('google.protobuf.Duration')) return durationText(value as Duration__Output);
  if (name.endsWith('google.protobuf.Timestamp')) return timeText(value as Timestamp__Output);
  const full = contract[name] === undefined ? `holdfast.v1.${name}` : name;
  return protoJson(contract, full, value);
}

export function durationMs({ seconds, nanos }: Duration__Output): number {
  return Number(seconds) * 1000 + nanos / 1e6;
}

export function timeMs({ seconds, nanos }: Timestamp__Output): number {
  return Number(seconds) * 1000 + Math.floor(nanos / 1e6);
}

export function durationOf(ms: number): { seconds: string; nanos: number } {
  return { seconds: String(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1e6 };
}

function durationText({ seconds, nanos }: Duration__Output): string {
  const sign = seconds.startsWith('-') || nanos < 0 ? '-' : '';
  const fraction =
    nanos === 0
      ? ''
      : `.${String(Math.abs(nanos))
          .padStart(9, '0')
          .replace(/(000)+$/, '')}`;
  return `${sign}${seconds.replace('-', '')}${fraction}s`;
}

function timeText(time: Timestamp__Output): string {
  return new Date(timeMs(time)).toISOString();
}
