/** The command as a process group of its own: started behind a gate, signalled as a whole, gone only as a whole. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, readdirSync, readFileSync, statSync } from 'node:fs';
import { constants as os } from 'node:os';
import { join } from 'node:path';

export const SHELL = '/bin/sh';
/** As shells say it. */
export const CANNOT_RUN = 126;
export const NOT_FOUND = 127;
const SIGNALLED = 128;
const GATE_FD = 3;
/** One line through the gate lets it become the command; the end of the gate ends it. */
const GATE = `read -r go <&${GATE_FD} && exec "$@" ${GATE_FD}<&-`;

export type Variables = Readonly<Record<string, string | undefined>>;

/** 128 and the number of the signal, as shells say it. */
export function codeOfSignal(signal: NodeJS.Signals): number {
  return SIGNALLED + os.signals[signal];
}

/** How the command will fail to start, if that can be seen beforehand: 126 or 127. */
export function cannotStart(command: string, path: string): typeof CANNOT_RUN | typeof NOT_FOUND | undefined {
  const folders = command.includes('/') ? [''] : path.split(':').map((folder) => folder || '.');
  let code: typeof CANNOT_RUN | typeof NOT_FOUND = NOT_FOUND;
  for (const folder of folders) {
    const file = folder === '' ? command : join(folder, command);
    try {
      if (!statSync(file).isFile()) throw Object.assign(new Error(file), { code: 'EACCES' });
      accessSync(file, constants.X_OK);
      return undefined;
    } catch (error) {
      if (codeOf(error) === 'EACCES') code = CANNOT_RUN;
    }
  }
  return code;
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

export class Group {
  readonly id: number;
  /** The exit code of the command itself, 128 + n when signal n ended it. Others of its group may live on. */
  readonly ended: Promise<number>;
  readonly #leader: ChildProcess;

  private constructor(leader: ChildProcess, id: number) {
    this.id = id;
    this.#leader = leader;
    this.ended = once(leader, 'exit').then(([code, signal]) => code ?? codeOfSignal(signal));
    // The command was killed behind its gate: `ended` tells.
    gateOf(leader).on('error', () => {});
  }

  /** Starts everything but the command. Throws what the system says when no process can be had. */
  static async behindGate(command: readonly string[], env: Variables): Promise<Group> {
    const leader = spawn(SHELL, ['-c', GATE, 'holdfast run', ...command], {
      detached: true,
      env: { ...env },
      stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    });
    if (leader.pid === undefined) throw (await once(leader, 'error'))[0];
    return new Group(leader, leader.pid);
  }

  /** Lets the command begin. */
  open(): void {
    gateOf(this.#leader).end('go\n');
  }

  /** To every process of the group; false where there is none. */
  signal(signal: NodeJS.Signals): boolean {
    return sent(this.id, signal);
  }

  /** Whether anything of it still runs. */
  lives(): boolean {
    return sent(this.id, 0) && !onlyZombies(this.id);
  }
}

function gateOf({ stdio }: ChildProcess): NodeJS.WritableStream {
  return stdio[GATE_FD] as unknown as NodeJS.WritableStream;
}

function sent(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-group, signal);
  } catch (error) {
    // EPERM: it runs as somebody else by now.
    return codeOf(error) !== 'ESRCH';
  }
}

/** In a container whose first process collects no orphans the dead stay in their group for ever. */
function onlyZombies(group: number): boolean {
  let members = 0;
  for (const pid of processes()) {
    const stat = statOf(pid);
    // The name, in brackets, may hold anything: what follows the last one is state, parent, group.
    const [state, , its] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(its) !== group) continue;
    if (state !== 'Z' && state !== 'X') return false;
    members += 1;
  }
  return members > 0;
}

function processes(): readonly string[] {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

function statOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return '';
  }
}
