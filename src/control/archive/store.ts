/** Where the archive's rows are: the one interface that SQLite and Postgres keep. */

/** One event of one resource. All rows have one order: time, token, step, key. */
export interface Row {
  /** The same for the same event, whoever saw it: what makes a second insert harmless. */
  readonly key: string;
  /** Microseconds since the Unix epoch. */
  readonly timeUs: number;
  readonly resource: string;
  readonly owner: string;
  readonly type: string;
  /** Of a lease's events the later is the greater: tells apart what happened in one microsecond. */
  readonly step: number;
  /** Twenty digits, so that text sorts as numbers do; tokens need all 64 bits. */
  readonly token: string;
  readonly leaseRef: string;
  readonly reason: string;
}

export interface NewRow extends Row {
  /** Whoever ends a lease may not know whose it was: the key of its grant, which says so. Empty where it is known. */
  readonly grantKey: string;
}

/** Where a page has ended. */
export type Place = Pick<Row, 'timeUs' | 'token' | 'step' | 'key'>;

export interface StoredGap {
  /** The same gap may be written again, longer than before. */
  readonly id: string;
  readonly fromUs: number;
  readonly untilUs: number;
  /** 0: nobody knows how many. */
  readonly events: number;
  readonly reason: 'dropped' | 'failed';
  readonly writer: string;
}

/** A process that writes, and until when all that it has seen is in the archive. */
export interface WriterMark {
  readonly id: string;
  readonly seenUs: number;
}

/** What is written in one transaction. */
export interface Batch {
  readonly rows: readonly NewRow[];
  readonly gaps: readonly StoredGap[];
  readonly mark: WriterMark;
  /** The writer ends in good order: its mark goes. */
  readonly leaves?: true;
}

export interface Question {
  readonly by: 'resource' | 'owner';
  readonly value: string;
  /** Only names that begin with one of these; empty: all. */
  readonly prefixes: readonly string[];
  /** Only what stands behind this, newest first. */
  readonly before: Place | undefined;
  readonly limit: number;
}

export interface ArchiveStore {
  readonly kind: 'sqlite' | 'postgres';
  /** Connects anew where that is needed, and brings the schema up to date. */
  open(): Promise<void>;
  /** How many rows were new. */
  append(batch: Batch): Promise<number>;
  read(question: Question): Promise<Row[]>;
  /** Newest first. */
  gaps(fromUs: number, untilUs: number, limit: number): Promise<StoredGap[]>;
  /** Deletes at most `limit` events that are older, and gaps that are; how many events. */
  purge(beforeUs: number, limit: number): Promise<number>;
  /** Looks once more for the owners of what has happened since: their grants may have come later. */
  settle(sinceUs: number): Promise<void>;
  marks(): Promise<WriterMark[]>;
  /** In place of the mark of one who is gone, a gap; false: it lives, or another has done so. */
  bury(mark: WriterMark, gap: StoredGap): Promise<boolean>;
  close(): Promise<void>;
}

export type FaultKind =
  /** A later release made the schema. */
  | 'newer'
  /** These very rows are not taken, and will not be. */
  | 'refused'
  /** Its file is none that could be used, or in a place where none can be. */
  | 'unusable'
  /** Anything that may pass. */
  | 'away';

/** Why the archive could not be asked; never carries a password. */
export class StoreError extends Error {
  override name = 'StoreError';
  readonly fault: FaultKind;

  constructor(fault: FaultKind, message: string) {
    super(message);
    this.fault = fault;
  }
}
