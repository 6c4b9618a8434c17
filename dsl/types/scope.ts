/** What names stand for: in a module, and inside a function. */
import type { Label, Span } from '../diagnostics/diagnostic.ts';
import type { FunctionDeclaration } from '../syntax/tree.ts';
import type { Facts } from './facts.ts';
import type { Stating } from './obligations.ts';
import type { PropertySignature } from './property-signature.ts';
import type { Size } from './size.ts';
import type { IndexId, LocalId, RecordInfo, Type, TypedFact } from './typed.ts';

/** What a body is checked against, of a function or a property. */
export interface BodySignature {
  /** Where a `where` clause could be added. */
  readonly declaration: Stating;
  readonly sizes: readonly string[];
  readonly parameters: readonly { readonly name: string; readonly type: Type; readonly span: Span }[];
  /** What the body may take for granted: facts, and that axes have at least one device. */
  readonly assumed: Facts;
  readonly axes: ReadonlyMap<string, Span>;
}

/** What callers of a function need to know of it. */
export interface FunctionSignature extends BodySignature {
  readonly id: string;
  readonly name: string;
  readonly declaration: FunctionDeclaration;
  readonly explicitSizes: number;
  readonly result: Type;
  readonly facts: readonly TypedFact[];
  /** It has a syntax error: nothing is said of its uses. */
  readonly broken: boolean;
}

export interface RecordEntry {
  readonly info: RecordInfo;
  readonly span: Span;
}

/**
 * The names of one module. Records and functions of the prelude and of `import m (name)` are under `bare`.
 */
export interface ModuleScope {
  readonly path: string;
  readonly functions: Map<string, FunctionSignature>;
  /** Of the checked file only. */
  readonly properties: Map<string, PropertySignature>;
  readonly records: Map<string, RecordEntry>;
  /** Imported modules by qualifier. */
  readonly modules: Map<string, ModuleScope>;
  readonly bareFunctions: Map<string, FunctionSignature>;
  readonly bareRecords: Map<string, RecordEntry>;
  readonly axes: Map<string, Span>;
  /** Where another import may be put: after the module's name, or 0. */
  readonly importPosition: number;
  /** Some declarations were lost to syntax errors, so that a name may be missing for that reason alone. */
  readonly incomplete: boolean;
}

export function findFunction(module: ModuleScope, name: string): FunctionSignature | undefined {
  return module.functions.get(name) ?? module.bareFunctions.get(name);
}

export function findRecord(module: ModuleScope, name: string): RecordEntry | undefined {
  return module.records.get(name) ?? module.bareRecords.get(name);
}

/** The mesh axes that modules and signatures name. */
export function axesOf(modules: readonly ModuleScope[]): ReadonlySet<string> {
  const axes = new Set(modules.flatMap((module) => [...module.axes.keys()]));
  for (const { functions, properties } of modules) {
    for (const signature of [...functions.values(), ...properties.values()])
      for (const axis of signature.axes.keys()) axes.add(axis);
  }
  return axes;
}

export type Entry =
  | { readonly kind: 'local'; readonly local: LocalId; readonly type: Type; readonly span: Span }
  | IndexEntry
  | { readonly kind: 'size'; readonly size: Size; readonly span: Span };

export interface IndexEntry {
  readonly kind: 'index';
  readonly index: IndexId;
  /** Undefined only while its uses are being collected. */
  readonly range: Size | undefined;
  /** Where the range came from. */
  readonly because: Label;
  readonly noteUse: ((use: IndexUse) => void) | undefined;
}

/** An index standing by itself as a subscript, and the size of the dimension that it subscripts. */
export interface IndexUse {
  readonly size: Size;
  /** A part of a split dimension: it fixes the range only when no whole dimension does. */
  readonly part: boolean;
  readonly because: Label;
}

export type Scope = ReadonlyMap<string, Entry>;

export function extend(scope: Scope, entries: Iterable<readonly [string, Entry]>): Scope {
  return new Map([...scope, ...entries]);
}
