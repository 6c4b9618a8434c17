import { existsSync, statSync } from 'node:fs';
import { type Command, Option } from 'commander';
import type { Package } from '../../compiler/plan/package.ts';
import { isPackage, readPackage } from '../../compiler/plan/package-files.ts';
import { compileFor, lower } from '../../driver/compile.ts';
import { checkInputs } from '../../driver/inputs.ts';
import { randomInput } from '../../driver/random-inputs.ts';
import { runReference } from '../../driver/run-reference.ts';
import { writeFileBeside } from '../../driver/write-file.ts';
import { natural } from '../../dsl/types/size.ts';
import { UserError } from '../../runtime/errors.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { openDevice } from '../../runtime/webgpu/device.ts';
import { loadPackage } from '../../runtime/webgpu/execute.ts';
import { npyBytes } from '../../runtime/weights/npy.ts';
import { openSafetensors, writeSafetensors } from '../../runtime/weights/safetensors.ts';
import { type TensorData, tensorValues } from '../../runtime/weights/tensor-data.ts';
import { createOutput, type Output } from '../output.ts';
import { completeInputs, type EntryOptions, orEnd, prepareEntry, withEntryOptions } from './entry-options.ts';

interface RunOptions extends EntryOptions {
  readonly target: 'wgsl' | 'reference';
  readonly adapter: 'auto' | 'hardware' | 'software';
  readonly output?: string;
  readonly trace?: string;
}

type Tensors = ReadonlyMap<string, TensorData>;

export function addRun(command: Command): void {
  withEntryOptions(
    command
      .command('run')
      .description('run an entry of a file, or a compiled package')
      .argument('<file>', 'a .ricci file or a package directory'),
  )
    .addOption(new Option('--target <target>', 'where to run').choices(['wgsl', 'reference']).default('wgsl'))
    .addOption(
      new Option('--adapter <kind>', 'which WebGPU adapter')
        .choices(['auto', 'hardware', 'software'])
        .default('auto'),
    )
    .option('-o, --output <file>', 'write the results: .safetensors, or .npy when there is one')
    .option('--trace <file>', "the device's time of each kernel, as JSON for a trace viewer")
    .action(async (file: string, options: RunOptions) => {
      const output = createOutput(options.json === true);
      const isDirectory = existsSync(file) && statSync(file).isDirectory();
      if (isDirectory && !(await isPackage(file))) {
        throw new UserError('malformed-file', `${file}: is no package`, 'give what `ricci compile -o` wrote');
      }
      const results = isDirectory
        ? await runPackage(await readPackage(file), options, output)
        : await runFile(file, options, output);
      if (options.output !== undefined) writeResults(options.output, results);
      report(results, options.output, output);
    });
}

async function runFile(file: string, options: RunOptions, output: Output): Promise<Tensors> {
  const prepared = prepareEntry(file, options, output);
  completeInputs(prepared, options.random);
  const { checked, instance, wanted, inputs } = prepared;
  checkInputs(wanted, inputs, instance.sizes);
  const lowered = orEnd(lower(checked, instance), output);
  if (options.target === 'reference') return runReference(lowered.graph, inputs);
  const opened = await openDevice(await openAdapter({ kind: options.adapter, report: output.progress }));
  try {
    const compiled = compileFor(lowered, instance, opened.profile);
    return await runOn(compiled.package, inputs, opened, options);
  } finally {
    opened.destroy();
  }
}

async function runPackage(pkg: Package, options: RunOptions, output: Output): Promise<Tensors> {
  const inputs = new Map<string, TensorData>();
  if (options.inputs !== undefined) {
    const source = openSafetensors(options.inputs);
    try {
      for (const { path } of pkg.manifest.inputs) if (source.has(path)) inputs.set(path, source.read(path));
    } finally {
      source.close();
    }
  }
  if (options.random !== undefined) {
    for (const { path, dtype, shape, below } of pkg.manifest.inputs) {
      if (inputs.has(path)) continue;
      const element =
        below === undefined
          ? ({ kind: 'dtype', dtype } as const)
          : ({ kind: 'ix', range: natural(below) } as const);
      inputs.set(path, randomInput({ path, element, dims: shape.map(natural) }, new Map(), options.random));
    }
  }
  const opened = await openDevice(await openAdapter({ kind: options.adapter, report: output.progress }));
  try {
    return await runOn(pkg, inputs, opened, options);
  } finally {
    opened.destroy();
  }
}

async function runOn(
  pkg: Package,
  inputs: Tensors,
  opened: Awaited<ReturnType<typeof openDevice>>,
  options: RunOptions,
): Promise<Tensors> {
  const missing = pkg.manifest.inputs.find(({ path }) => !inputs.has(path));
  if (missing !== undefined) {
    const type = `${missing.dtype}[${missing.shape.join(', ')}]`;
    throw new UserError(
      'wrong-input',
      `the input ${missing.path} is missing`,
      `give it as ${type}, or --random`,
    );
  }
  const loaded = await loadPackage(pkg, opened);
  try {
    const results = await loaded.run(inputs);
    if (options.trace !== undefined) {
      writeFileBeside(options.trace, traceText(await loaded.time()));
    }
    return results;
  } finally {
    loaded.destroy();
  }
}

/** Chrome's trace event format: one complete event a kernel, times in microseconds. */
function traceText(times: readonly { readonly kernel: string; readonly nanoseconds: number }[]): string {
  let start = 0;
  const traceEvents = times.map(({ kernel, nanoseconds }) => {
    const event = { name: kernel, ph: 'X', pid: 0, tid: 0, ts: start / 1000, dur: nanoseconds / 1000 };
    start += nanoseconds;
    return event;
  });
  return `${JSON.stringify({ traceEvents })}\n`;
}

function writeResults(path: string, results: Tensors): void {
  const [only] = results.values();
  if (!path.endsWith('.npy')) writeSafetensors(path, results);
  else if (results.size === 1 && only !== undefined) writeFileBeside(path, npyBytes(only));
  else {
    throw new UserError(
      'wrong-input',
      `${path}: there are ${results.size} results`,
      'write them to a .safetensors file',
    );
  }
}

/** Results that are small are shown whole, others by their first elements. */
function report(results: Tensors, file: string | undefined, output: Output): void {
  const described = [...results].map(([path, tensor]) => ({ path, tensor, values: tensorValues(tensor) }));
  const lines = described.map(({ path, tensor, values }) => {
    const type = `${tensor.dtype}[${tensor.shape.join(', ')}]`;
    const shown = [...values.subarray(0, 8)].map((value) => Number(value.toPrecision(6)));
    return `${path}: ${type} = ${shown.join(' ')}${values.length > 8 ? ' …' : ''}`;
  });
  output.data([...lines, ...(file === undefined ? [] : [`written to ${file}`])].join('\n'), {
    outputs: described.map(({ path, tensor, values }) => ({
      path,
      dtype: tensor.dtype,
      shape: tensor.shape,
      ...(file === undefined ? { values: [...values] } : { file }),
    })),
  });
}
