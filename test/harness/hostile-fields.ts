/** Requests with anything in any field, each with the fields of it that break a rule: what fast-check sends to every call. */
import fc from 'fast-check';
import { limits } from '../../src/domain/limits.ts';

/** A value, and whether the contract (lock.proto) allows it in its field. */
interface Taken<Value> {
  readonly value: Value;
  readonly ok: boolean;
}

/** A request as protobuf takes it, and the top-level fields that must be named in its refusal. */
export interface Wild {
  readonly request: Readonly<Record<string, unknown>>;
  readonly broken: readonly string[];
}

type Field = fc.Arbitrary<Taken<unknown>>;

const good = <Value>(values: fc.Arbitrary<Value>): fc.Arbitrary<Taken<Value>> =>
  values.map((value) => ({ value, ok: true }));
const bad = <Value>(values: fc.Arbitrary<Value>): fc.Arbitrary<Taken<Value>> =>
  values.map((value) => ({ value, ok: false }));
/** Mostly what is allowed, or no request would get past its first field. */
const mostly = (right: Field, wrong: Field): Field =>
  fc.oneof({ weight: 5, arbitrary: right }, { weight: 1, arbitrary: wrong });

const NAME = /^[A-Za-z0-9._:/@+-]{1,12}$/;
/** Two of them are held by others while the fuzz runs. */
const name = fc.oneof(
  { weight: 5, arbitrary: fc.stringMatching(NAME).map((text) => `fuzz/${text}`) },
  { weight: 1, arbitrary: fc.constantFrom('fuzz/held', 'fuzz/read') },
);
const noName = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    'a b',
    'a\u0000',
    '\ufffd',
    'é',
    '../../etc/passwd?',
    'a*',
    '{a}',
    'n'.repeat(257),
  ),
  fc
    .string({ unit: 'binary', minLength: 1, maxLength: 20 })
    .filter((text) => !/^[A-Za-z0-9._:/@+-]*$/.test(text)),
);
const control = fc.constantFrom('\u0000', '\n', '\u007f', '\ufffd', '\u001f', 'ok\u0001');
const clean = (text: string): boolean => !/[\u0000-\u001f\u007f\ufffd]/.test(text) && text.isWellFormed();

const text = (min: number, max: number): Field =>
  mostly(
    good(
      fc
        .string({ unit: 'grapheme', minLength: min, maxLength: 30 })
        .filter((one) => clean(one) && one.length <= max),
    ),
    bad(fc.oneof(control, fc.constant('x'.repeat(max + 1)), ...(min > 0 ? [fc.constant('')] : []))),
  );

const spread = (seconds: number | string, nanos = 0) => ({ seconds, nanos });
const wildSpan = fc.constantFrom(
  spread('9223372036854775807'),
  spread('-9223372036854775808'),
  spread(1, 2_000_000_000),
  spread(-1),
  spread(0, -1),
  spread(-1, 1),
  spread(1, -1),
  spread('315576000001'),
);
/** 100 ms to 60 s. */
const ttl: Field = mostly(
  good(
    fc.oneof(
      fc.constant(null),
      fc.integer({ min: 1, max: 60 }).map((seconds) => spread(seconds)),
    ),
  ),
  bad(fc.oneof(wildSpan, fc.constantFrom(spread(0), spread(0, 1), spread(60, 1), spread(3600)))),
);
const short: Field = mostly(good(fc.constantFrom(null, spread(0), spread(0, 1_000_000))), bad(wildSpan));

const names: Field = mostly(
  good(fc.uniqueArray(name, { minLength: 1, maxLength: 4 })),
  bad(
    fc.oneof(
      fc.constantFrom([], Array(65).fill('fuzz/a'), Array(20_000).fill('')),
      fc.tuple(name, noName).map((both) => both),
      name.map((one) => [one, one]),
    ),
  ),
);
const labels: Field = mostly(
  good(fc.dictionary(fc.stringMatching(/^[a-z]{1,9}$/), fc.stringMatching(/^[ -~]{0,20}$/), { maxKeys: 16 })),
  bad(
    fc.oneof(
      fc.constantFrom({ '': 'v' }, { ['k'.repeat(65)]: 'v' }, { k: 'v'.repeat(257) }, { k: '\u0000' }),
      fc.constant(Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`k${at}`, 'v']))),
      control.map((key) => ({ [key]: 'v' })),
    ),
  ),
);
const upTo = (max: number): Field =>
  mostly(good(fc.integer({ min: 0, max })), bad(fc.constantFrom(max + 1, 2 ** 31, 2 ** 32 - 1)));
const mode: Field = mostly(good(fc.constantFrom(0, 1, 2)), bad(fc.constantFrom(3, 77, -1, 2 ** 31 - 1)));
const token: Field = mostly(
  good(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map(String)),
  bad(fc.constant('0')),
);

/** Ids that were granted to somebody else, changed in one place: they parse or not, and give no right. */
export const foreignId = (ids: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom('', 'hf1.', 'x'.repeat(30_000)),
    fc
      .tuple(fc.constantFrom(...ids), fc.nat(), fc.stringMatching(/^[A-Za-z0-9_.-]$/))
      .map(([id, where, other]) => {
        const at = where % id.length;
        return id.slice(0, at) + (id[at] === other ? '!' : other) + id.slice(at + 1);
      }),
  );

function record(fields: Readonly<Record<string, Field>>): fc.Arbitrary<Wild> {
  return fc.record(fields).map((taken) => ({
    request: Object.fromEntries(Object.entries(taken).map(([key, { value }]) => [key, value])),
    broken: Object.keys(taken).filter((key) => !taken[key]!.ok),
  }));
}

/** `broken` says nothing of a lease id, which only the service can judge. */
export const wild = {
  acquire: record({
    resources: names,
    owner: text(1, limits.ownerLength),
    ttl,
    wait: short,
    mode,
    any: good(fc.constantFrom(0, 1)),
    priority: upTo(limits.priorityMax),
    request_id: text(0, limits.requestIdLength),
    labels,
  }),
  inspect: record({ resource: mostly(good(name), bad(noName)), history_limit: upTo(limits.historyMax) }),
  list: record({
    prefix: mostly(good(fc.oneof(fc.constant(''), name)), bad(noName.filter((one) => one !== ''))),
    owner: text(0, limits.ownerLength),
    page_size: upTo(limits.pageSizeMax),
    page_token: mostly(good(fc.constant('')), bad(fc.string({ minLength: 1, maxLength: 600 }))),
  }),
  watch: record({
    resources: mostly(
      good(fc.uniqueArray(name, { maxLength: 4 })),
      bad(fc.oneof(fc.tuple(name, noName), fc.constant(Array(65).fill('a')))),
    ),
    prefix: mostly(good(fc.oneof(fc.constant(''), name)), bad(noName.filter((one) => one !== ''))),
  }),
  checkToken: record({ resource: mostly(good(name), bad(noName)), fencing_token: token }),
  forceRelease: record({
    resource: mostly(good(name), bad(noName)),
    lease_ref: mostly(
      good(fc.stringMatching(/^[A-Za-z0-9_-]{16}$/)),
      bad(fc.string({ minLength: 1 }).filter((one) => !/^[A-Za-z0-9_-]{16}$/.test(one))),
    ),
    reason: text(1, limits.reasonLength),
  }),
  heartbeat: record({ ttl, progress: text(0, limits.progressLength) }),
  release: record({ reason: text(0, limits.reasonLength) }),
} as const;

/** Bytes of a request after an accident: cut, changed, doubled, or of another making altogether. */
export function damaged(bytes: Buffer, at: number, byte: number, how: number): Buffer {
  const where = bytes.length === 0 ? 0 : at % bytes.length;
  const [before, behind] = [bytes.subarray(0, where), bytes.subarray(where)];
  switch (how % 5) {
    case 0:
      return before;
    case 1:
      return Buffer.concat([before, Buffer.from([byte]), behind.subarray(1)]);
    case 2:
      return Buffer.concat([before, Buffer.from([byte]), behind]);
    case 3:
      return Buffer.concat([bytes, behind]);
    default:
      return Buffer.concat([behind, before]);
  }
}
