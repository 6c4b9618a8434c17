/** Opens WebGPU in Node (Dawn, from the npm package `webgpu`), on a GPU where there is one. */
import os from 'node:os';
import { isUserError, UserError } from '../errors.ts';
import { calmPolling } from './calm-polling.ts';
import { findSwiftShader, installedDriverManifests, isSoftwareDriver } from './software-driver.ts';

export interface AdapterOptions {
  /** `auto`: a GPU, else the processor. `hardware`: a GPU or an error. `software`: always the processor. */
  readonly kind?: 'auto' | 'hardware' | 'software';
  /** Receives one line when a program runs on the processor for want of a GPU. */
  readonly report?: (line: string) => void;
}

/** Timestamps are rounded to 100 µs unless asked otherwise: of no use for timing kernels. */
const dawnFlags = ['disable-dawn-features=timestamp_quantization'];

/** Dawn keeps its drivers as long as its instance lives: one for each choice of driver. */
const instances = new Map<string, GPU>();

/**
 * A fresh adapter. On Linux `VK_ICD_FILENAMES` (or `VK_DRIVER_FILES`) chooses the driver where it is set.
 * @throws UserError `no-device` when there is none of the kind asked for.
 */
export async function openAdapter(options: AdapterOptions = {}): Promise<GPUAdapter> {
  const kind = options.kind ?? 'auto';
  calmPolling();
  const adapter = process.platform === 'linux' ? await onLinux(kind) : await request(kind, undefined);
  if (adapter === undefined) throw noAdapter(kind);
  if (kind === 'auto' && adapter.info.isFallbackAdapter)
    options.report?.(`no GPU driver found: running on ${softwareName(adapter)} (software)`);
  return adapter;
}

/**
 * The adapter for who has other ways to run: a GPU's where there is one, or that of the driver which is
 * chosen in the environment. Where only software drivers are installed, nothing is started to find that out.
 * @throws UserError `no-device` when the driver that is chosen gives none
 */
export async function findGpu(report?: (line: string) => void): Promise<GPUAdapter | undefined> {
  if (chosenDriver() !== undefined) return openAdapter({ ...(report && { report }) });
  if (process.platform === 'linux' && installedDriverManifests().every(isSoftwareDriver)) return undefined;
  try {
    return await openAdapter({ kind: 'hardware' });
  } catch (error) {
    if (isUserError(error)) return undefined;
    throw error;
  }
}

function chosenDriver(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  return process.env.VK_DRIVER_FILES || process.env.VK_ICD_FILENAMES || undefined;
}

type Kind = NonNullable<AdapterOptions['kind']>;

async function onLinux(kind: Kind): Promise<GPUAdapter | undefined> {
  const chosen = chosenDriver();
  if (chosen || installedDriverManifests().length > 0) {
    makeLoaderResident(undefined);
    const adapter = await request(kind, undefined);
    if (adapter !== undefined || chosen) return adapter;
  }
  if (kind === 'hardware') return undefined;
  const driver = findSwiftShader();
  if (driver === undefined) return undefined;
  makeLoaderResident(driver.loader);
  return request(kind, driver.manifest);
}

/** @param manifest the one driver to use; undefined leaves the choice to the system. */
async function request(kind: Kind, manifest: string | undefined): Promise<GPUAdapter | undefined> {
  const gpu = instances.get(manifest ?? '') ?? (await createInstance());
  instances.set(manifest ?? '', gpu);
  const ask = (forceFallbackAdapter: boolean) =>
    withDriver(manifest, () =>
      gpu.requestAdapter({ powerPreference: 'high-performance', forceFallbackAdapter }),
    );
  // Dawn falls back on SwiftShader only: of other software adapters it speaks where there is nothing else.
  const adapter = (kind === 'software' ? await ask(true) : null) ?? (await ask(false));
  if (adapter === null) return undefined;
  const isWanted = {
    auto: true,
    hardware: !adapter.info.isFallbackAdapter,
    software: adapter.info.isFallbackAdapter,
  };
  return isWanted[kind] ? adapter : undefined;
}

async function createInstance(): Promise<GPU> {
  try {
    const { create } = await import('webgpu');
    return create(dawnFlags);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new UserError(
      'no-device',
      `WebGPU cannot be loaded on ${process.platform}-${process.arch}: ${reason}`,
      'install the npm package webgpu for this platform, or use --target reference',
    );
  }
}

/** The Vulkan loader reads its environment when Dawn first asks for adapters: set for that long only. */
async function withDriver<T>(manifest: string | undefined, work: () => Promise<T>): Promise<T> {
  if (manifest === undefined) return work();
  const before = process.env.VK_ICD_FILENAMES;
  process.env.VK_ICD_FILENAMES = manifest;
  try {
    return await work();
  } finally {
    if (before === undefined) delete process.env.VK_ICD_FILENAMES;
    else process.env.VK_ICD_FILENAMES = before;
  }
}

/** `RTLD_NODELETE` of glibc and musl, which Node does not name. */
const keepLoaded = 0x1000;

/**
 * Dawn loads `libvulkan.so.1` by name. Where the system has none, one that is already in the process under
 * that name serves. Node complains of any library that is not an addon, after it has loaded it.
 */
function makeLoaderResident(bundled: string | undefined): void {
  const { RTLD_NOW, RTLD_GLOBAL } = os.constants.dlopen;
  for (const library of ['libvulkan.so.1', bundled ?? findSwiftShader()?.loader]) {
    if (library === undefined) return;
    try {
      process.dlopen({ exports: {} }, library, RTLD_NOW | RTLD_GLOBAL | keepLoaded);
    } catch (error) {
      if (error instanceof Error && error.message.includes('did not self-register')) return;
    }
  }
}

function softwareName(adapter: GPUAdapter): string {
  if (adapter.info.architecture === 'swiftshader') return 'SwiftShader';
  return adapter.info.device || adapter.info.description || 'the processor';
}

function noAdapter(kind: Kind): UserError {
  const chosen = chosenDriver();
  if (process.platform === 'linux' && chosen)
    return new UserError(
      'no-device',
      `the Vulkan driver chosen in the environment, ${chosen}, gives no ${kind === 'auto' ? '' : `${kind} `}adapter`,
      'unset VK_ICD_FILENAMES and VK_DRIVER_FILES, or name a driver of Vulkan 1.1 or later',
    );
  if (kind === 'hardware')
    return new UserError(
      'no-device',
      'no GPU driver found',
      'install the driver of the GPU, or allow a software adapter',
    );
  return new UserError(
    'no-device',
    'no WebGPU adapter found, nor a software one',
    'install a GPU driver, or Mesa 24 or later (lavapipe), or use --target reference',
  );
}
