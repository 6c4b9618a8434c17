/** Vulkan drivers on Linux: which are installed, and SwiftShader, which needs no GPU and no installation. */
import { createHash, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';

export interface VulkanDriver {
  /** The driver's manifest, for `VK_ICD_FILENAMES`. */
  readonly manifest: string;
  /** A Vulkan loader shipped beside it, for systems that have none. */
  readonly loader: string;
}

const manifestName = 'vk_swiftshader_icd.json';
const loaderName = 'libvulkan.so.1';
const wantedFiles = [manifestName, loaderName, 'libvk_swiftshader.so'];

/** Where Chromium packages keep the same driver. */
const chromiumFolders = ['/usr/lib/chromium', '/opt/google/chrome', '/usr/lib64/chromium-browser'];

/** Manifests of the installed drivers, in the folders where the Vulkan loader looks for them. */
export function installedDriverManifests(): string[] {
  const home = os.homedir();
  const dataFolders = (process.env.XDG_DATA_DIRS || '/usr/local/share:/usr/share').split(':');
  const configFolders = (process.env.XDG_CONFIG_DIRS || '/etc/xdg').split(':');
  const folders = [
    path.join(process.env.XDG_CONFIG_HOME || path.join(home, '.config'), 'vulkan/icd.d'),
    path.join(process.env.XDG_DATA_HOME || path.join(home, '.local/share'), 'vulkan/icd.d'),
    ...[...configFolders, '/usr/local/etc', '/etc', ...dataFolders].map((at) =>
      path.join(at, 'vulkan/icd.d'),
    ),
  ];
  return folders.flatMap((folder) => {
    try {
      return fs
        .readdirSync(folder)
        .filter((file) => file.endsWith('.json'))
        .map((file) => path.join(folder, file));
    } catch {
      return [];
    }
  });
}

/** Whether a driver runs on the processor, by the name of its manifest: Mesa's lavapipe, or SwiftShader. */
export function isSoftwareDriver(manifest: string): boolean {
  return /^(lvp_|vk_swiftshader_)/.test(path.basename(manifest));
}

/**
 * SwiftShader from the npm package, else a Chromium's; undefined where neither is (or not for this
 * processor).
 */
export function findSwiftShader(): VulkanDriver | undefined {
  return unpackBundledSwiftShader() ?? chromiumSwiftShader();
}

function chromiumSwiftShader(): VulkanDriver | undefined {
  const folder = chromiumFolders.find((at) => fs.existsSync(path.join(at, manifestName)));
  if (folder === undefined) return undefined;
  return { manifest: path.join(folder, manifestName), loader: path.join(folder, loaderName) };
}

function unpackBundledSwiftShader(): VulkanDriver | undefined {
  if (process.arch !== 'x64') return undefined;
  const archive = bundledArchive();
  if (archive === undefined) return undefined;
  const version = createHash('sha256').update(archive).digest('hex').slice(0, 16);
  for (const cache of cacheFolders()) {
    try {
      const folder = path.join(cache(), `swiftshader-${version}`);
      if (!fs.existsSync(folder)) unpackInto(folder, archive);
      return { manifest: path.join(folder, manifestName), loader: path.join(folder, loaderName) };
    } catch {
      // Not writable: the next place.
    }
  }
  return undefined;
}

function bundledArchive(): Buffer | undefined {
  try {
    const main = createRequire(import.meta.url).resolve('@sparticuz/chromium');
    return fs.readFileSync(path.resolve(path.dirname(main), '../../bin/swiftshader.tar.br'));
  } catch {
    return undefined;
  }
}

/** The user's cache folder, else one under the temporary folder that belongs to this user alone. */
function cacheFolders(): (() => string)[] {
  const base = process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache');
  return [
    () => {
      const folder = path.join(base, 'ricci');
      fs.mkdirSync(folder, { recursive: true });
      return folder;
    },
    () => {
      const user = process.getuid?.() ?? 0;
      const folder = path.join(os.tmpdir(), `ricci-${user}`);
      fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
      // What is in it gets loaded into this process.
      if (fs.lstatSync(folder).uid !== user) throw new Error('the folder belongs to another user');
      return folder;
    },
  ];
}

/** All or nothing, whoever else does the same at the same time: written beside, then renamed. */
function unpackInto(folder: string, archive: Buffer): void {
  const beside = `${folder}.${randomUUID()}`;
  fs.mkdirSync(beside);
  try {
    const entries = tarEntries(zlib.brotliDecompressSync(archive));
    for (const name of wantedFiles) {
      const content = entries.get(name);
      if (content === undefined) throw new Error(`no ${name} in the archive`);
      fs.writeFileSync(path.join(beside, name), content, { mode: 0o755 });
    }
    fs.renameSync(beside, folder);
  } catch (error) {
    fs.rmSync(beside, { recursive: true, force: true });
    if (!fs.existsSync(folder)) throw error;
  }
}

const tarBlock = 512;

/** The regular files of a ustar archive by base name. */
function tarEntries(archive: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const text = (start: number, length: number) =>
    Buffer.from(archive.subarray(start, start + length))
      .toString('latin1')
      .replace(/\0.*$/s, '');
  const entries = new Map<string, Uint8Array>();
  let header = 0;
  while (header + tarBlock <= archive.length && archive[header] !== 0) {
    const size = Number.parseInt(text(header + 124, 12), 8);
    const content = header + tarBlock;
    const kind = text(header + 156, 1);
    if (!(size >= 0) || content + size > archive.length) break;
    if (kind === '0' || kind === '')
      entries.set(path.basename(text(header, 100)), archive.subarray(content, content + size));
    header = content + Math.ceil(size / tarBlock) * tarBlock;
  }
  return entries;
}
