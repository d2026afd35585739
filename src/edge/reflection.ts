/** Mends the descriptors that protobufjs makes, so that every reflection client can read them, not only lenient ones. */
import type { PackageDefinition } from '@grpc/proto-loader';
import type {
  IDescriptorProto,
  IEnumDescriptorProto,
  IFieldDescriptorProto,
  IFileDescriptorProto,
} from 'protobufjs/ext/descriptor/index.js';
import descriptor from 'protobufjs/ext/descriptor/index.js';

// @grpc/proto-loader hands on what protobufjs makes of a .proto file: type names that are relative, map entries
// without their prescribed names, and no imports. buf and every client on Go's protodesc refuse all three.

const { FileDescriptorProto } = descriptor;

/** `field_name` -> `FieldNameEntry`, as the language prescribes. */
function entryName(field: string): string {
  const camel = field.replace(/(?:^|_)([a-z0-9])/g, (_match, letter: string) => letter.toUpperCase());
  return `${camel}Entry`;
}

function nameMapEntries(message: IDescriptorProto): void {
  for (const nested of message.nestedType ?? []) {
    if (nested.options?.mapEntry !== true) {
      nameMapEntries(nested);
      continue;
    }
    const field = message.field?.find(({ typeName }) => typeName === nested.name);
    if (field === undefined) continue;
    nested.name = entryName(field.name ?? '');
    field.typeName = nested.name;
  }
}

/** Every message and enum under `scope`, by its full name. */
function* typesOf(
  scope: string,
  messages: readonly IDescriptorProto[],
  enums: readonly IEnumDescriptorProto[],
): Generator<string> {
  for (const { name } of enums) yield `${scope}.${name}`;
  for (const message of messages) {
    const inner = `${scope}.${message.name}`;
    yield inner;
    yield* typesOf(inner, message.nestedType ?? [], message.enumType ?? []);
  }
}

class Mender {
  /** The file of each type, by the type's full name with its leading dot. */
  readonly #homes = new Map<string, string>();
  readonly #files: readonly IFileDescriptorProto[];

  constructor(files: readonly IFileDescriptorProto[]) {
    this.#files = files;
    for (const file of files) {
      file.messageType?.forEach(nameMapEntries);
      const types = typesOf(`.${file.package}`, file.messageType ?? [], file.enumType ?? []);
      for (const type of types) this.#homes.set(type, file.name ?? '');
    }
  }

  mend(): void {
    for (const file of this.#files) {
      const needs = new Set<string>();
      for (const message of file.messageType ?? []) {
        this.#message(`.${file.package}.${message.name}`, message, needs);
      }
      for (const { method } of file.service ?? []) {
        for (const { inputType, outputType } of method ?? []) this.#need([inputType, outputType], needs);
      }
      needs.delete(file.name ?? '');
      file.dependency = [...needs].sort();
    }
  }

  #message(scope: string, message: IDescriptorProto, needs: Set<string>): void {
    for (const field of message.field ?? []) {
      this.#field(scope, field);
      this.#need([field.typeName], needs);
    }
    for (const nested of message.nestedType ?? []) this.#message(`${scope}.${nested.name}`, nested, needs);
  }

  /** A relative name means the innermost type of that name, looked for from the message outwards. */
  #field(scope: string, field: IFieldDescriptorProto): void {
    const name = field.typeName;
    if (!name || name.startsWith('.')) return;
    for (let at = scope; ; at = at.slice(0, at.lastIndexOf('.'))) {
      if (this.#homes.has(`${at}.${name}`)) {
        field.typeName = `${at}.${name}`;
        return;
      }
      if (at === '') throw new Error(`reflection: ${scope}.${field.name} is of the unknown type ${name}`);
    }
  }

  #need(types: readonly (string | undefined)[], needs: Set<string>): void {
    for (const type of types) {
      const home = this.#homes.get(type ?? '');
      if (home !== undefined) needs.add(home);
    }
  }
}

/** What @grpc/reflection reads its files from: one entry that carries all of them, each once. */
export function describable(definitions: PackageDefinition): PackageDefinition {
  const files = new Map<string, IFileDescriptorProto>();
  for (const definition of Object.values(definitions)) {
    const encoded = (definition as { fileDescriptorProtos?: Buffer[] }).fileDescriptorProtos ?? [];
    for (const bytes of encoded) {
      const file = FileDescriptorProto.decode(bytes) as IFileDescriptorProto;
      if (file.name && !files.has(file.name)) files.set(file.name, file);
    }
  }
  const mended = [...files.values()];
  new Mender(mended).mend();
  const fileDescriptorProtos = mended.map((file) => Buffer.from(FileDescriptorProto.encode(file).finish()));
  return { '': { format: 'Protocol Buffer 3 DescriptorProto', type: {}, fileDescriptorProtos } as never };
}
