/** What browsers have and Node has not, for runtimes that are written for them. */
import { availableParallelism } from 'node:os';
import { globals } from 'webgpu';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';

/** `navigator.gpu` and the constants of WebGPU, on the adapter that Ricci uses too. */
export function installWebGpu(): void {
  Object.assign(globalThis, globals);
  const gpu = {
    requestAdapter: () => openAdapter(),
    getPreferredCanvasFormat: () => 'bgra8unorm',
    wgslLanguageFeatures: new Set<string>(),
  };
  const navigator = {
    gpu,
    userAgent: 'Node.js',
    language: 'en',
    hardwareConcurrency: availableParallelism(),
  };
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
  const queue = GPUQueue.prototype;
  const write = queue.writeBuffer;
  // Dawn in Node refuses memory that threads share, such as that of onnxruntime-web.
  queue.writeBuffer = function (buffer, offset, data, ...rest) {
    const isShared = (ArrayBuffer.isView(data) ? data.buffer : data) instanceof SharedArrayBuffer;
    return write.call(this, buffer, offset, isShared ? copyOf(data) : data, ...rest);
  };
}

/** Elements stay what they are: offsets and sizes count them. */
function copyOf(data: GPUAllowSharedBufferSource): GPUAllowSharedBufferSource {
  return (data as Uint8Array | SharedArrayBuffer).slice();
}

/** Iterators have these from Node 22 on. */
const helpers: Readonly<Record<string, (this: Iterable<unknown>, ...given: never[]) => unknown>> = {
  *map(change: (item: unknown, place: number) => unknown) {
    let place = 0;
    for (const item of this) yield change(item, place++);
  },
  *filter(keep: (item: unknown, place: number) => boolean) {
    let place = 0;
    for (const item of this) if (keep(item, place++)) yield item;
  },
  *flatMap(change: (item: unknown, place: number) => Iterable<unknown>) {
    let place = 0;
    for (const item of this) yield* change(item, place++);
  },
  toArray() {
    return [...this];
  },
  some(holds: (item: unknown) => boolean) {
    return [...this].some((item) => holds(item));
  },
  every(holds: (item: unknown) => boolean) {
    return [...this].every((item) => holds(item));
  },
  find(holds: (item: unknown) => boolean) {
    return [...this].find((item) => holds(item));
  },
  reduce(join: (so: unknown, item: unknown) => unknown, first: unknown) {
    return [...this].reduce((so, item) => join(so, item), first);
  },
  forEach(see: (item: unknown) => void) {
    for (const item of this) see(item);
  },
};

export function installIteratorHelpers(): void {
  const prototype: object = Object.getPrototypeOf(Object.getPrototypeOf([].values()));
  for (const [name, value] of Object.entries(helpers))
    if (!(name in prototype))
      Object.defineProperty(prototype, name, { value, writable: true, configurable: true });
}
