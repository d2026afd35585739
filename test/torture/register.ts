/** What the locks of a run protect: for each resource a register that checks tokens, and beside it one that does not. */
import { Redis } from 'ioredis';

/**
 * Reading installs the token. Tokens are compared as texts, the longer one being larger: Lua's numbers are doubles.
 * An older one is told apart from an empty register by a leading `-`.
 */
const READ = `
local seen = redis.call('HGET', KEYS[1], 'token') or ''
if #ARGV[1] < #seen or (#ARGV[1] == #seen and ARGV[1] < seen) then return '-' end
redis.call('HSET', KEYS[1], 'token', ARGV[1])
return '+' .. (redis.call('HGET', KEYS[1], 'fenced') or '')
`;
const WRITE = `
local seen = redis.call('HGET', KEYS[1], 'token') or ''
if #ARGV[1] < #seen or (#ARGV[1] == #seen and ARGV[1] < seen) then return '-' end
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'fenced', ARGV[2])
return '+'
`;

export const registerScripts = { read: READ, write: WRITE };

export class Register {
  readonly #redis: Redis;

  /** Commands are never sent twice: a write that is repeated after others would look like a lost update. */
  constructor(path: string) {
    this.#redis = new Redis({
      path,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      disableClientInfo: true,
    });
    this.#redis.on('error', () => {});
  }

  /** The value; undefined where a newer token was there before. */
  async read(resource: string, token: bigint): Promise<string | undefined> {
    const answer = String(await this.#redis.eval(READ, 1, resource, String(token)));
    return answer === '-' ? undefined : answer.slice(1);
  }

  /** False where a newer token was there before. */
  async write(resource: string, token: bigint, value: string): Promise<boolean> {
    return (await this.#redis.eval(WRITE, 1, resource, String(token), value)) === '+';
  }

  async readTwin(resource: string): Promise<string> {
    return (await this.#redis.hget(resource, 'twin')) ?? '';
  }

  async writeTwin(resource: string, value: string): Promise<void> {
    await this.#redis.hset(resource, 'twin', value);
  }

  close(): void {
    this.#redis.disconnect();
  }
}
