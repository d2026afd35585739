/** Real certificates, made here: a CA, servers and clients, of any dates and names; on disk as PEM. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const DAY_MS = 86_400_000;

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const head =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), body]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, ...parts);
const octets = (body: Buffer): Buffer => der(0x04, body);
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const truth = der(0x01, Buffer.from([0xff]));

const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'));
const COMMON_NAME = oid('550403');
const ALTERNATIVE_NAME = oid('551d11');
const BASIC_CONSTRAINTS = oid('551d13');

const nameOf = (commonName: string): Buffer =>
  sequence(der(0x31, sequence(COMMON_NAME, der(0x0c, Buffer.from(commonName)))));

/** GeneralizedTime. */
const timeOf = (ms: number): Buffer =>
  der(0x18, Buffer.from(`${new Date(ms).toISOString().replace(/[-:T]|\.\d+Z$/g, '')}Z`));

/** `dns:`, `uri:` or `ip:` (of version 4). */
function alternative(name: string): Buffer {
  const [kind] = name.split(':');
  const text = name.slice(kind!.length + 1);
  if (kind === 'dns') return der(0x82, Buffer.from(text));
  if (kind === 'uri') return der(0x86, Buffer.from(text));
  return der(0x87, Buffer.from(text.split('.').map(Number)));
}

function pem(kind: string, body: Buffer): string {
  const lines = body.toString('base64').replace(/.{1,64}/g, '$&\n');
  return `-----BEGIN ${kind}-----\n${lines}-----END ${kind}-----\n`;
}

export interface Wanted {
  readonly commonName?: string;
  readonly names?: readonly string[];
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
}

export interface Pair {
  readonly cert: string;
  readonly key: string;
}

interface Signer {
  readonly name: string;
  readonly key: KeyObject;
}

function certificate(wanted: Wanted, publicKey: KeyObject, signer: Signer, isCa: boolean): string {
  const { commonName = 'holdfast', names = [], notBeforeMs, notAfterMs } = wanted;
  const extensions = [
    sequence(BASIC_CONSTRAINTS, truth, octets(sequence(...(isCa ? [truth] : [])))),
    ...(names.length === 0 ? [] : [sequence(ALTERNATIVE_NAME, octets(sequence(...names.map(alternative))))]),
  ];
  const nowMs = Date.now();
  const serial = randomBytes(8);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    ECDSA_SHA256,
    nameOf(signer.name),
    sequence(timeOf(notBeforeMs ?? nowMs - DAY_MS), timeOf(notAfterMs ?? nowMs + 90 * DAY_MS)),
    nameOf(commonName),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  );
  const signature = Buffer.concat([Buffer.from([0]), sign('sha256', body, signer.key)]);
  return pem('CERTIFICATE', sequence(body, ECDSA_SHA256, der(0x03, signature)));
}

const newKeys = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });

export class Authority {
  readonly cert: string;
  readonly #signer: Signer;

  constructor(commonName = 'test CA') {
    const { publicKey, privateKey } = newKeys();
    this.#signer = { name: commonName, key: privateKey };
    this.cert = certificate({ commonName }, publicKey, this.#signer, true);
  }

  issue(wanted: Wanted = {}): Pair {
    const { publicKey, privateKey } = newKeys();
    return {
      cert: certificate(wanted, publicKey, this.#signer, false),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    };
  }

  /** For clients that call 127.0.0.1 or localhost. */
  server(wanted: Wanted = {}): Pair {
    return this.issue({ names: ['dns:localhost', 'ip:127.0.0.1'], ...wanted });
  }
}

/** A directory of files for one test file. */
export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'holdfast-files-'));

  write(name: string, text: string): string {
    const path = join(this.path, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
