/** What callers write, checked and made ready for the wire; everything wrong is named at once. */
import { duration, type Span, spanMs } from './durations.ts';
import { type FieldFault, InvalidFieldError } from './errors.ts';
import type { AcquireRequest, Duration } from './gen/messages.ts';
import { countFault, resourceFault, textFault } from './rules.ts';
import type { Ask } from './session/acquire-op.ts';
import type { Mode, Queued, YieldRequest } from './views.ts';

/** One name, or several that are taken together. */
export type Names = string | readonly string[];

/** How a lease is taken. Spans are milliseconds, or a text such as `500ms`, `30s`, `1m`, `2h`. */
export interface LockOptions {
  /** How long the lease lasts without this process: the service's own (30 s) unless set. It is renewed all the time. */
  readonly ttl?: Span | undefined;
  /** How long to stand in line; not at all unless set. */
  readonly wait?: Span | undefined;
  /** One thread of control: 1 to 256 characters. Name it to have deadlocks found. */
  readonly owner?: string | undefined;
  /** `exclusive` unless set. */
  readonly mode?: Mode | undefined;
  /** Any so many of the names, the service picks; all unless set. */
  readonly any?: number | undefined;
  /** 0 to 9, the most urgent: a head start in line. */
  readonly priority?: number | undefined;
  /** Shown with the lease: at most 16, keys of 1 to 64 and values of at most 256 characters. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Makes the call safe to repeat, also from another process: at most 128 characters, random, a secret. */
  readonly requestId?: string | undefined;
  /** Gives the wait up. */
  readonly signal?: AbortSignal | undefined;
  /** The place in line, whenever it changes. */
  readonly onQueued?: ((queued: Queued) => void) | undefined;
  /** Somebody of higher priority asks for the lock. */
  readonly onYieldRequest?: ((request: YieldRequest) => void) | undefined;
}

export interface Defaults {
  readonly ttl: Span | undefined;
  /** Named by whoever calls, or made up for each call. */
  readonly owner: () => string;
}

const NAMES_MAX = 64;
const OWNER_MAX = 256;
const REQUEST_ID_MAX = 128;
const LABELS_MAX = 16;
const LABEL_KEY_MAX = 64;
const LABEL_VALUE_MAX = 256;
const PRIORITY_MAX = 9;
/** UTF-8 takes at most so many for a code unit; a name is ASCII, and its field a few bytes more. */
const UTF8_BYTES = 3;
const FIELD_BYTES = 6;
const MODES: Readonly<Record<Mode, number>> = { exclusive: 1, shared: 2 };

class Faults {
  found: FieldFault[] | undefined;

  note(field: string, description: string | undefined): void {
    if (description === undefined) return;
    this.found ??= [];
    this.found.push({ field, description });
  }

  span(field: string, span: Span): number {
    try {
      return spanMs(field, span);
    } catch (error) {
      for (const { description } of (error as InvalidFieldError).fields) this.note(field, description);
      return 0;
    }
  }
}

function checkNames(names: readonly string[], faults: Faults): void {
  if (!Array.isArray(names)) faults.note('resources', 'must be a name or a list of names');
  else if (names.length === 0) faults.note('resources', 'must not be empty');
  else if (names.length > NAMES_MAX)
    faults.note('resources', `must be at most ${NAMES_MAX}, not ${names.length}`);
  else {
    for (let at = 0; at < names.length; at += 1) {
      const first = names.indexOf(names[at]!);
      faults.note(`resources[${at}]`, first < at ? `repeats resources[${first}]` : resourceFault(names[at]));
    }
  }
}

function checkLabels(labels: Readonly<Record<string, string>>, faults: Faults): void {
  const entries = Object.entries(labels);
  if (entries.length > LABELS_MAX)
    faults.note('labels', `must be at most ${LABELS_MAX}, not ${entries.length}`);
  for (const [key, value] of entries.slice(0, LABELS_MAX)) {
    const path = `labels[${JSON.stringify(key.slice(0, LABEL_KEY_MAX))}]`;
    const keyFault = textFault(key, 1, LABEL_KEY_MAX);
    if (keyFault !== undefined) faults.note(path, `key ${keyFault}`);
    const valueFault = textFault(value, 0, LABEL_VALUE_MAX);
    if (valueFault !== undefined) faults.note(path, `value ${valueFault}`);
  }
}

interface Fields {
  resources: readonly string[];
  owner: string;
  ttl?: Duration;
  mode?: number;
  any?: number;
  priority?: number;
  labels?: Readonly<Record<string, string>>;
}

/** The rarer options. */
function addRest(fields: Fields, { mode, any, priority, labels }: LockOptions, faults: Faults): void {
  if (mode !== undefined) {
    fields.mode = MODES[mode];
    if (fields.mode === undefined) faults.note('mode', 'must be exclusive or shared');
  }
  if (any !== undefined) {
    fields.any = any;
    faults.note('any', countFault(any, 0, fields.resources.length));
  }
  if (priority !== undefined) {
    fields.priority = priority;
    faults.note('priority', countFault(priority, 0, PRIORITY_MAX));
  }
  if (labels !== undefined) {
    fields.labels = labels;
    checkLabels(labels, faults);
  }
}

function bytesOf({ resources, owner, labels }: Fields): number {
  let bytes = UTF8_BYTES * owner.length;
  for (const name of resources) bytes += name.length + FIELD_BYTES;
  for (const key in labels) bytes += UTF8_BYTES * (key.length + labels[key]!.length) + 2 * FIELD_BYTES;
  return bytes;
}

/** Throws InvalidFieldError that names every field that breaks its rule. */
export function askOf(names: Names, options: LockOptions, defaults: Defaults, waitUnlessSetMs: number): Ask {
  const faults = new Faults();
  const resources = typeof names === 'string' ? [names] : names;
  const { ttl = defaults.ttl, wait, owner = defaults.owner(), requestId = '' } = options;
  checkNames(resources, faults);
  faults.note('owner', textFault(owner, 1, OWNER_MAX));
  if (requestId !== '') faults.note('request_id', textFault(requestId, 0, REQUEST_ID_MAX));
  const fields: Fields = { resources, owner };
  if (ttl !== undefined) fields.ttl = duration(faults.span('ttl', ttl));
  const waitMs = wait === undefined ? waitUnlessSetMs : faults.span('wait', wait);
  addRest(fields, options, faults);
  if (faults.found !== undefined) throw InvalidFieldError.ofAll(faults.found);
  const request: AcquireRequest = fields;
  return {
    request,
    waitMs,
    requestId,
    bytes: bytesOf(fields),
    signal: options.signal,
    onQueued: options.onQueued,
    onYieldRequest: options.onYieldRequest,
  };
}
