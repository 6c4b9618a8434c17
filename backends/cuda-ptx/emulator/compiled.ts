/** Kernels translated once per module and options, whatever device runs them and however often. */
import type { PtxModule } from '../ptx.ts';
import {
  type CodeOptions,
  compileKernel,
  type Kernel,
  type KernelNeeds,
  type ModuleVariables,
  needsOf,
  variablesOf,
} from './kernel.ts';

export class CompiledModule {
  readonly module: PtxModule;
  readonly variables: ModuleVariables;
  private readonly known = new Map<string, KernelNeeds>();
  private readonly kernels = new Map<string, Kernel>();

  constructor(module: PtxModule) {
    this.module = module;
    this.variables = variablesOf(module);
  }

  /** @throws PtxError where there is no such kernel, or its text cannot be. */
  needs(name: string): KernelNeeds {
    const needs = this.known.get(name) ?? needsOf(this.module, this.variables, name);
    this.known.set(name, needs);
    return needs;
  }

  /** @throws PtxError where there is no such kernel, or it has what is not supported. */
  kernel(name: string, options: CodeOptions): Kernel {
    const { fusedMultiplyAdd, checksMemory, checksRaces, checksGlobalRaces } = options;
    const key = [name, fusedMultiplyAdd, checksMemory, checksRaces, checksGlobalRaces].join(' ');
    const known = this.kernels.get(key) ?? compileKernel(this.needs(name), options);
    this.kernels.set(key, known);
    return known;
  }
}

const compiled = new WeakMap<PtxModule, CompiledModule>();

export function compiledModule(module: PtxModule): CompiledModule {
  const known = compiled.get(module) ?? new CompiledModule(module);
  compiled.set(module, known);
  return known;
}
