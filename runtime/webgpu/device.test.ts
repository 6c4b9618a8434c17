import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { UserError } from '../errors.ts';
import { openAdapter } from './adapter.ts';
import { failure, openDevice } from './device.ts';

const run = promisify(execFile);
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'ricci-device-'));
afterAll(() => fs.rmSync(scratch, { recursive: true, force: true }));

/** The folder with these sources as JavaScript, which is all that a plain Node 20 reads. */
async function compiled(): Promise<string> {
  const root = path.resolve(import.meta.dirname, '../..');
  const sources = ['adapter.ts', 'device.ts'].map((file) => path.join(import.meta.dirname, file));
  const options =
    '--ignoreConfig --target es2023 --module nodenext --skipLibCheck --rewriteRelativeImportExtensions';
  const types = ['--types', 'node,@webgpu/types', '--rootDir', root, '--outDir', scratch];
  const compiler = path.join(root, 'node_modules/.bin/tsc');
  await run(compiler, [...options.split(' '), ...types, ...sources], { cwd: root });
  fs.symlinkSync(path.join(root, 'node_modules'), path.join(scratch, 'node_modules'));
  fs.writeFileSync(path.join(scratch, 'package.json'), '{ "type": "module" }');
  return scratch;
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('a device', () => {
  test('of any machine has a profile that a compute program can use', async () => {
    const opened = await openDevice(await openAdapter());
    expect(opened.profile.maxInvocationsPerWorkgroup).toBeGreaterThanOrEqual(128);
    expect(opened.profile.maxStorageBuffersPerStage).toBe(
      opened.device.limits.maxStorageBuffersPerShaderStage,
    );
    expect(opened.profile.maxBindingBytes).toBeGreaterThanOrEqual(128 * 2 ** 20);
    expect(opened.description).toContain(opened.profile.name);
    opened.destroy();
  });

  test('that refuses a command says which', async () => {
    const { device, guard, destroy } = await openDevice(await openAdapter());
    const refused = await rejection(
      guard('the buffer h', () => device.createBuffer({ size: 16, usage: 0x0001 | 0x0080 })),
    );
    expect(refused).toMatchObject({ name: 'UserError', code: 'device-refused' });
    expect((refused as UserError).message).toMatch(/^the device refused the buffer h: /);
    expect(await guard('nothing', () => 7)).toBe(7);
    destroy();
  });

  test('reports a failure outside a guard at the next one, once', async () => {
    const { device, guard, destroy } = await openDevice(await openAdapter());
    device.createBuffer({ size: 16, usage: 0x0001 | 0x0080 });
    await device.queue.onSubmittedWorkDone();
    expect(await rejection(guard('a step', () => 1))).toMatchObject({ code: 'device-refused' });
    expect(await guard('a step', () => 2)).toBe(2);
    destroy();
  });

  test('that is lost ends what waits for it, and what comes after', async () => {
    const { device, guard, destroy } = await openDevice(await openAdapter());
    const waiting = rejection(guard('a wait', () => new Promise(() => {})));
    destroy();
    expect(await waiting).toMatchObject({ code: 'device-lost' });
    expect(await rejection(guard('more', () => device.createBuffer({ size: 4, usage: 0x80 })))).toMatchObject(
      {
        code: 'device-lost',
      },
    );
  });

  test('out of memory is its own error', () => {
    expect(failure('the buffer of x', 'out-of-memory', '')).toMatchObject({
      code: 'out-of-memory',
      message: 'the device has no memory left for the buffer of x',
    });
  });
});

describe('opening an adapter', () => {
  test('leaves other callers of setImmediate as they were', async () => {
    await openAdapter();
    const order: string[] = [];
    setImmediate((text: string) => order.push(text), 'first');
    const bound = order.push.bind(order, 'second');
    setImmediate(bound);
    await promisify(setImmediate)();
    await immediate();
    expect(order).toEqual(['first', 'second']);
  });

  test.runIf(process.platform === 'linux')('refuses a driver that does not exist, and says so', async () => {
    const before = process.env.VK_ICD_FILENAMES;
    process.env.VK_ICD_FILENAMES = '/nowhere/driver.json';
    try {
      const error = await rejection(openAdapter());
      expect(error).toBeInstanceOf(UserError);
      expect((error as UserError).message).toContain('/nowhere/driver.json');
    } finally {
      if (before === undefined) delete process.env.VK_ICD_FILENAMES;
      else process.env.VK_ICD_FILENAMES = before;
    }
  });

  test.runIf(process.platform === 'linux' && process.arch === 'x64')(
    'in several processes at once unpacks one driver, and each process ends by itself',
    async () => {
      const script = path.join(await compiled(), 'open.js');
      fs.writeFileSync(
        script,
        `import { openAdapter } from './runtime/webgpu/adapter.js';
         import { openDevice } from './runtime/webgpu/device.js';
         const opened = await openDevice(await openAdapter({ kind: 'software', report: console.error }));
         await opened.device.queue.onSubmittedWorkDone();
         console.log(opened.profile.software);`,
      );
      const cache = path.join(scratch, 'cache');
      const env: NodeJS.ProcessEnv = { ...process.env, XDG_CACHE_HOME: cache };
      delete env.VK_ICD_FILENAMES;
      delete env.VK_DRIVER_FILES;
      const results = await Promise.all(
        [0, 1, 2].map(() => run(process.execPath, [script], { env, timeout: 120_000 })),
      );
      expect(results.map((result) => result.stdout)).toEqual(['true\n', 'true\n', 'true\n']);
      const unpacked = fs.existsSync(path.join(cache, 'ricci'))
        ? fs.readdirSync(path.join(cache, 'ricci'))
        : [];
      expect(unpacked.length).toBeLessThanOrEqual(1);
    },
  );
});
