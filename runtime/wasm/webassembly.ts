/** The part of the WebAssembly JavaScript interface that is used here: neither Node's types nor the language's have it. */

declare global {
  namespace WebAssembly {
    class Module {
      constructor(bytes: Uint8Array<ArrayBuffer>);
    }
    class Memory {
      constructor(descriptor: { initial: number; maximum: number; shared: true });
      readonly buffer: SharedArrayBuffer;
    }
    class Instance {
      constructor(
        module: Module,
        imports: { readonly runtime: { readonly memory: Memory; readonly scratch?: number } },
      );
      readonly exports: Readonly<Record<string, unknown>>;
    }
    function compile(bytes: Uint8Array<ArrayBuffer>): Promise<Module>;
    function validate(bytes: Uint8Array<ArrayBuffer>): boolean;
  }
}

export {};
