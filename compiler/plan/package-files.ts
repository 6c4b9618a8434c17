/** Packages on disk. */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../../dsl/diagnostics/user-error.ts';
import { fileReason } from './file-reason.ts';
import {
  type AnyManifest,
  type AnyPackage,
  anyManifestSchema,
  type Packages,
  type PackageTarget,
  packageFormat,
} from './package.ts';
import { packageDigest } from './package-digest.ts';
import { parseManifest } from './parse-manifest.ts';

const manifestFile = 'manifest.json';

interface PackageFile {
  /** In the package's directory. */
  readonly path: string;
  /** What the digest calls it. */
  readonly name: string;
  readonly contents: string | Uint8Array;
}

type Read = (path: string) => Promise<Buffer>;

interface FileForm<T extends PackageTarget> {
  /** What there is beside the manifest, in its order. */
  readonly write: (pkg: Packages[T]) => readonly PackageFile[];
  readonly read: (manifest: Packages[T]['manifest'], read: Read) => Promise<Packages[T]>;
}

const moduleFile = { wasm: 'kernels.wasm', ptx: 'kernels.ptx' } as const;

const fileForms: { readonly [T in PackageTarget]: FileForm<T> } = {
  wgsl: {
    write: ({ manifest, code }) =>
      manifest.kernels.map(({ name, file }) => ({ path: file, name, contents: code.get(name)! })),
    read: async (manifest, read) => {
      const code = new Map<string, string>();
      for (const { name, file } of manifest.kernels) code.set(name, (await read(file)).toString('utf8'));
      return { manifest, code };
    },
  },
  wasm: {
    write: ({ module }) => [{ path: moduleFile.wasm, name: moduleFile.wasm, contents: module }],
    read: async (manifest, read) => ({ manifest, module: new Uint8Array(await read(moduleFile.wasm)) }),
  },
  ptx: {
    write: ({ module }) => [{ path: moduleFile.ptx, name: moduleFile.ptx, contents: module }],
    read: async (manifest, read) => ({ manifest, module: (await read(moduleFile.ptx)).toString('utf8') }),
  },
};

function filesOf(pkg: AnyPackage): readonly PackageFile[] {
  return (fileForms[pkg.manifest.target] as FileForm<PackageTarget>).write(pkg);
}

/**
 * Writes the package as `directory`, which appears whole or not at all: it is written beside and renamed.
 * Replaces an older package there. The same package gives the same bytes.
 * @throws UserError `file-access` when the directory is something else than a package, or cannot be written.
 */
export async function writePackage(directory: string, pkg: AnyPackage): Promise<void> {
  const target = path.resolve(directory);
  const replaced = await existing(target);
  const beside = `${target}.${randomUUID()}`;
  const old = `${beside}.old`;
  try {
    await fs.mkdir(beside, { recursive: true });
    await fs.writeFile(path.join(beside, manifestFile), manifestText(pkg));
    for (const { path: place, contents } of filesOf(pkg)) {
      const file = path.join(beside, place);
      await fs.mkdir(path.dirname(file), { recursive: true });
      await fs.writeFile(file, contents);
    }
    if (replaced) await fs.rename(target, old);
    await fs.rename(beside, target);
  } catch (error) {
    // A package that was moved out of the way comes back.
    await fs.rename(old, target).catch(() => undefined);
    throw new UserError(
      'file-access',
      `cannot write the package ${directory}: ${fileReason(error)}`,
      'choose a directory that you may write to with -o',
    );
  } finally {
    await fs.rm(beside, { recursive: true, force: true });
    await fs.rm(old, { recursive: true, force: true });
  }
}

/** The manifest and, last, the digest of the package. */
function manifestText(pkg: AnyPackage): string {
  return `${JSON.stringify({ ...inOrder(pkg.manifest), digest: digestOf(pkg) }, undefined, 2)}\n`;
}

/** With its fields in the order of the schema, whoever put it together. */
function inOrder(manifest: AnyManifest): AnyManifest {
  return anyManifestSchema.parse(manifest);
}

/** The same for the same package. */
export function digestOf(pkg: AnyPackage): string {
  return packageDigest(inOrder(pkg.manifest), kernelTexts(pkg));
}

function kernelTexts(pkg: AnyPackage): ReadonlyMap<string, string> {
  return new Map(
    filesOf(pkg).map(({ name, contents }) => [
      name,
      typeof contents === 'string' ? contents : Buffer.from(contents).toString('base64'),
    ]),
  );
}

/** Whether there is a directory that may be replaced: a package, or an empty one. */
async function existing(target: string): Promise<boolean> {
  const refusal = (what: string) =>
    new UserError(
      'file-access',
      `${target} ${what}, so nothing was written`,
      'choose another directory with -o, or remove that one',
    );
  const entries = await fs.readdir(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw refusal(error.code === 'ENOTDIR' ? 'is a file' : 'cannot be read');
  });
  if (entries === undefined) return false;
  if (entries.length > 0 && !(await isPackage(target))) throw refusal('holds something else than a package');
  return true;
}

/** Whether a path is a package's directory: it has a manifest that says so, valid or not. */
export async function isPackage(directory: string): Promise<boolean> {
  try {
    const text = await fs.readFile(path.join(directory, manifestFile), 'utf8');
    return (JSON.parse(text) as { format?: unknown } | null)?.format === packageFormat;
  } catch {
    return false;
  }
}

/**
 * @throws UserError `file-access` when a file is missing, `malformed-file` when the manifest is not valid,
 * naming its field, or when anything is not as it was written.
 */
export async function readPackage(directory: string): Promise<AnyPackage> {
  const file = path.join(directory, manifestFile);
  const text = await readText(file);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UserError(
      'malformed-file',
      `${file}: is not JSON: ${(error as Error).message}`,
      'compile the package again',
    );
  }
  const { digest, contents } = withoutDigest(value);
  const pkg = await readKernels(directory, parseManifest(contents, file));
  if (digest !== packageDigest(contents, kernelTexts(pkg)))
    throw new UserError(
      'malformed-file',
      `${directory}: its files are not as ricci compile wrote them`,
      'compile the package again',
    );
  return pkg;
}

function readKernels(directory: string, manifest: AnyManifest): Promise<AnyPackage> {
  const form = fileForms[manifest.target] as FileForm<PackageTarget>;
  return form.read(manifest, (file) => readBytes(path.join(directory, file)));
}

function withoutDigest(value: unknown): { readonly digest: unknown; readonly contents: unknown } {
  if (typeof value !== 'object' || value === null || !('digest' in value))
    return { digest: undefined, contents: value };
  const { digest, ...contents } = value;
  return { digest, contents };
}

async function readText(file: string): Promise<string> {
  return (await readBytes(file)).toString('utf8');
}

async function readBytes(file: string): Promise<Buffer> {
  try {
    return await fs.readFile(file);
  } catch (error) {
    throw new UserError(
      'file-access',
      `cannot read ${file}: ${fileReason(error)}`,
      'name the directory of a package that ricci compile wrote',
    );
  }
}
