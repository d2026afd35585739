/** The file of the audit log: whole lines appended beside other processes that append to it, and brought to the disk. */
import { constants, type FileHandle, open } from 'node:fs/promises';
import { type Clock, pause } from '../std/clock.ts';

/**
 * Not blocking: of a pipe that nobody reads the open must fail, not hang. Readable: a line that was cut short is
 * recognised before it is taken back.
 */
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;
/** What callers did is nobody's business but the operator's. */
const MODE = 0o600;
const NEWLINE = 0x0a;
/** PIPE_BUF of Linux (pipe(7)). */
const PIPE_BYTES = 4096;
/** A reader is mostly behind for a moment only. */
const ROOM_MS = 5;
const WAITS_MAX = 200;

export class AuditFile {
  readonly #handle: FileHandle;
  /** A pipe and a device have no disk, and nothing of them can be taken back. */
  readonly #regular: boolean;
  readonly #clock: Clock;
  #writing: Promise<unknown> = Promise.resolve();
  #unsynced = false;
  /** What stands at the end is no whole line and could not be taken back. */
  #torn = false;

  private constructor(handle: FileHandle, regular: boolean, clock: Clock) {
    this.#handle = handle;
    this.#regular = regular;
    this.#clock = clock;
  }

  static async open(path: string, clock: Clock): Promise<AuditFile> {
    const handle = await open(path, FLAGS, MODE);
    try {
      return new AuditFile(handle, (await handle.stat()).isFile(), clock);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /**
   * One write for all lines, so that no other process writes into them. Returns how many are in the file, whole:
   * fewer where the disk is full, or nobody reads the pipe.
   */
  write(lines: readonly string[]): Promise<number> {
    const written = this.#regular ? this.#write(lines) : this.#pass(lines);
    this.#writing = written.catch(() => {});
    return written;
  }

  /** What was written so far outlives the machine. */
  async sync(): Promise<void> {
    if (!this.#regular || !this.#unsynced) return;
    this.#unsynced = false;
    try {
      await this.#handle.datasync();
    } catch (error) {
      this.#unsynced = true;
      throw error;
    }
  }

  /** After the write that is under way. */
  async close(): Promise<void> {
    await this.#writing;
    try {
      await this.sync();
    } finally {
      await this.#handle.close();
    }
  }

  async #write(lines: readonly string[]): Promise<number> {
    const bytes = Buffer.from(`${this.#torn ? '\n' : ''}${lines.join('')}`);
    const { bytesWritten } = await this.#handle.write(bytes, 0, bytes.length, null);
    this.#unsynced = true;
    if (bytesWritten === bytes.length) {
      this.#torn = false;
      return lines.length;
    }
    const written = bytes.subarray(0, bytesWritten);
    const end = written.lastIndexOf(NEWLINE) + 1;
    const whole = written.subarray(0, end).filter((byte) => byte === NEWLINE).length - (this.#torn ? 1 : 0);
    const cut = written.subarray(end);
    this.#torn = cut.length > 0 ? !(await this.#takeBack(cut)) : this.#torn && bytesWritten === 0;
    return Math.max(0, whole);
  }

  /** Piece by piece: those up to PIPE_BYTES a pipe takes whole or not at all, and nobody else's lines get into ours. */
  async #pass(lines: readonly string[]): Promise<number> {
    let passed = 0;
    while (passed < lines.length) {
      let piece = lines[passed]!;
      let count = 1;
      for (; passed + count < lines.length; count += 1) {
        const longer = piece + lines[passed + count]!;
        if (Buffer.byteLength(longer) > PIPE_BYTES) break;
        piece = longer;
      }
      if (!(await this.#put(Buffer.from(piece)))) break;
      passed += count;
    }
    return passed;
  }

  /** False: there was no room for it in all the time. A piece that has begun is waited for. */
  async #put(piece: Buffer): Promise<boolean> {
    let at = 0;
    for (let waits = 0; at < piece.length; ) {
      try {
        at += (await this.#handle.write(piece, at, piece.length - at, null)).bytesWritten;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
        if (at === 0 && waits >= WAITS_MAX) return false;
        waits += 1;
        await pause(this.#clock, ROOM_MS);
      }
    }
    return true;
  }

  /** Only if it is still the last: behind it may stand what another process wrote. */
  async #takeBack(cut: Buffer): Promise<boolean> {
    try {
      const { size } = await this.#handle.stat();
      const at = size - cut.length;
      const { buffer } = await this.#handle.read(Buffer.alloc(cut.length), 0, cut.length, at);
      if (!buffer.equals(cut)) return false;
      await this.#handle.truncate(at);
      return true;
    } catch {
      // A file that may only grow (chattr +a).
      return false;
    }
  }
}
