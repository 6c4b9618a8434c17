/**
 * The body of an entry with the functions that it calls in place of the calls: registers and labels anew for
 * each call, parameters of a function the variables that the call gives. What is left are calls of functions
 * that call themselves, however far around, calls by an address, and calls of what is declared only, such as
 * `vprintf`: functions for these are kept beside.
 */
import type { Instruction, Operand, PtxFunction, PtxModule, Register, Statement, Variable } from '../ptx.ts';
import { PtxError } from '../ptx-error.ts';

export interface InlinedBody {
  readonly statements: readonly Statement[];
  /** Of the entry, and of what it calls once for each call. */
  readonly variables: readonly Variable[];
  readonly functions: readonly FunctionBeside[];
}

/** A function that is called, and not in place of the call. */
export interface FunctionBeside {
  readonly name: string;
  readonly statements: readonly Statement[];
  /** In local memory, anew for each call: parameters and results too. */
  readonly variables: readonly Variable[];
  readonly parameters: readonly Variable[];
  readonly results: readonly Variable[];
  /** Why it cannot be run. */
  readonly problem: PtxFunction['problem'];
}

/** More than any kernel needs; a chain of calls could otherwise double at each step. */
const mostStatements = 2_000_000;

/** @throws PtxError at a call of what is not there, or with other parameters than the function has. */
export function inlineCalls(module: PtxModule, entry: PtxFunction): InlinedBody {
  const functions = functionsOf(module);
  const apart = functionsApart(module, functions, entry);
  const shared: Variable[] = [];
  let copies = 0;
  let total = 0;

  /** @param own the local variables of the whole. */
  const expand = (body: readonly Statement[], own: Variable[]): Statement[] => {
    total += body.length;
    return body.flatMap((statement) => {
      if (statement.kind === 'label' || statement.op !== 'call') return [statement];
      const call = callOf(statement);
      if (call.name === undefined) return [statement];
      const callee = functions.get(call.name);
      if (callee === undefined)
        throw new PtxError(`there is no function ${call.name} in this text`, statement.place);
      if (callee.problem !== undefined) throw new PtxError(callee.problem.message, callee.problem.place);
      if (callee.body === undefined || apart.has(call.name)) return [statement];
      if (total > mostStatements) throw new PtxError('calls are nested too often', statement.place);
      return copyOf(statement, call, callee, own);
    });
  };

  const copyOf = (
    statement: Instruction,
    call: CallParts,
    callee: PtxFunction,
    own: Variable[],
  ): Statement[] => {
    const copy = ++copies;
    const end = `call ${copy} of ${callee.name}`;
    const given = new Map<Variable, Variable>();
    const bind = (formal: readonly Variable[], actual: readonly Variable[], what: string): void => {
      if (formal.length !== actual.length)
        throw new PtxError(
          `${callee.name} has ${formal.length} ${what}, and the call ${actual.length}`,
          statement.place,
        );
      for (const [at, variable] of formal.entries()) given.set(variable, actual[at]!);
    };
    bind(callee.parameters, call.parameters, 'parameters');
    bind(callee.results, call.results, 'results');
    for (const variable of callee.variables) {
      if (variable.space !== 'local') continue;
      const renamed = { ...variable, name: `${variable.name} of ${end}` };
      given.set(variable, renamed);
      own.push(renamed);
    }
    keepShared(callee);
    const rename = renamer(given, (label) => `${label} in ${end}`);
    const inside = expand(callee.body ?? [], own).map((each): Statement => {
      if (each.kind === 'label') return rename.statement(each);
      // What an inner call left behind are branches already.
      if (each.op !== 'ret') return rename.statement(each);
      const back = { ...each, op: 'bra', operands: [{ kind: 'name', name: end }] } as const;
      return { ...back, guard: rename.guard(each.guard) };
    });
    const { guard } = statement;
    const target: Operand = { kind: 'name', name: end };
    const over: Statement[] =
      guard === undefined
        ? []
        : [{ ...statement, op: 'bra', guard: { ...guard, negated: !guard.negated }, operands: [target] }];
    return [...over, ...inside, { kind: 'label', name: end }];
  };

  const keepShared = (callee: PtxFunction): void => {
    shared.push(...callee.variables.filter((each) => each.space === 'shared' && !shared.includes(each)));
  };

  const beside = [...apart].map((name): FunctionBeside => {
    const callee = functions.get(name)!;
    const { parameters, results, problem } = callee;
    const variables = [
      ...parameters,
      ...results,
      ...callee.variables.filter((each) => each.space === 'local'),
    ];
    keepShared(callee);
    const rename = renamer(new Map(), (label) => `${label} in ${name}`);
    const statements = expand(callee.body ?? [], variables).map(rename.statement);
    return { name, statements, variables, parameters, results, problem };
  });
  const variables: Variable[] = [...entry.variables];
  const statements = expand(entry.body ?? [], variables);
  return { statements, variables: [...variables, ...shared], functions: beside };
}

/** By name; of those that are declared and defined the definition. */
function functionsOf(module: PtxModule): ReadonlyMap<string, PtxFunction> {
  const functions = new Map(module.functions.map((each) => [each.name, each]));
  for (const each of module.functions) if (each.body !== undefined) functions.set(each.name, each);
  return functions;
}

/**
 * Of the functions that may run: those that call themselves, and those whose address somebody has, if there
 * are calls by an address.
 */
function functionsApart(
  module: PtxModule,
  functions: ReadonlyMap<string, PtxFunction>,
  entry: PtxFunction,
): ReadonlySet<string> {
  const calls = new Map<PtxFunction, CalledNames>();
  const callsOf = (each: PtxFunction): CalledNames => {
    const known = calls.get(each) ?? calledBy(each);
    calls.set(each, known);
    return known;
  };
  const reach = (from: readonly string[]): ReadonlySet<string> => {
    const reached = new Set<string>();
    const pending = [...from];
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      const found = functions.get(name);
      if (found === undefined || reached.has(name)) continue;
      reached.add(name);
      pending.push(...callsOf(found).names);
    }
    return reached;
  };
  const called = reach([...callsOf(entry).names]);
  const isIndirect = [entry, ...[...called].map((name) => functions.get(name)!)].some(
    (each) => callsOf(each).hasIndirect,
  );
  const known = isIndirect ? functionsWithAddress(module) : new Set<string>();
  const defined = (name: string): boolean => functions.get(name)?.body !== undefined;
  const all = reach([...called, ...known]);
  return new Set(
    [...all].filter(
      (name) =>
        defined(name) && (known.has(name) || reach([...callsOf(functions.get(name)!).names]).has(name)),
    ),
  );
}

interface CalledNames {
  readonly names: ReadonlySet<string>;
  readonly hasIndirect: boolean;
}

function calledBy({ body = [] }: PtxFunction): CalledNames {
  const names = new Set<string>();
  let hasIndirect = false;
  for (const statement of body)
    if (statement.kind === 'instruction' && statement.op === 'call') {
      const { name } = callOf(statement);
      if (name === undefined) hasIndirect = true;
      else names.add(name);
    }
  return { names, hasIndirect };
}

function functionsWithAddress({ functions, variables }: PtxModule): ReadonlySet<string> {
  const devices = new Set(functions.filter((each) => !each.isEntry).map(({ name }) => name));
  const named = new Set<string>();
  for (const variable of [...variables, ...functions.flatMap((each) => each.variables)])
    for (const each of variable.initial ?? []) if ('symbol' in each) named.add(each.symbol);
  for (const { body = [] } of functions)
    for (const statement of body)
      if (statement.kind === 'instruction')
        for (const operand of statement.operands)
          if (operand.kind === 'symbol' && operand.variable.space === 'code')
            named.add(operand.variable.name);
  return new Set([...named].filter((name) => devices.has(name)));
}

export interface CallParts {
  /** Nothing: it goes to the address in `target`. */
  readonly name: string | undefined;
  readonly target: Operand | undefined;
  readonly results: readonly Variable[];
  readonly parameters: readonly Variable[];
}

export function callOf(call: Instruction): CallParts {
  const lists: (readonly Variable[])[] = [[], []];
  let target: Operand | undefined;
  for (const operand of call.operands) {
    if (operand.kind === 'name' || operand.kind === 'register') target ??= operand;
    else if (operand.kind === 'arguments')
      lists[target === undefined ? 0 : 1] = operand.variables.map((each) => {
        if (each.kind === 'symbol' && each.variable.space === 'local') return each.variable;
        throw new PtxError('the arguments of a call are variables in .param', call.place);
      });
  }
  if (target === undefined) throw new PtxError('a call names a function', call.place);
  const name = target.kind === 'name' ? target.name : undefined;
  return { name, target, results: lists[0]!, parameters: lists[1]! };
}

function renamer(variables: ReadonlyMap<Variable, Variable>, labelOf: (label: string) => string) {
  const registers = new Map<Register, Register>();
  const register = (old: Register): Register => {
    const known = registers.get(old) ?? { ...old };
    registers.set(old, known);
    return known;
  };
  const variable = (old: Variable): Variable => variables.get(old) ?? old;
  const operand = (old: Operand): Operand => {
    switch (old.kind) {
      case 'register':
      case 'not':
        return { ...old, register: register(old.register) };
      case 'symbol':
        return { ...old, variable: variable(old.variable) };
      case 'address': {
        const { base } = old;
        const renamed = base?.kind === 'register' ? register(base) : base && variable(base);
        return { ...old, base: renamed, coordinates: old.coordinates.map(operand) };
      }
      case 'vector':
        return { ...old, elements: old.elements.map(operand) };
      case 'pair':
        return { ...old, first: operand(old.first), second: operand(old.second) };
      case 'arguments':
        return { ...old, variables: old.variables.map(operand) };
      case 'name':
        return { ...old, name: labelOf(old.name) };
      case 'special':
      case 'integer':
      case 'float':
      case 'sink':
        return old;
    }
  };
  const guard = (old: Instruction['guard']) => old && { ...old, register: register(old.register) };
  // A call names a function, which is the same everywhere.
  const ofCall = (old: Operand): Operand => (old.kind === 'name' ? old : operand(old));
  const statement = (old: Statement): Statement =>
    old.kind === 'label'
      ? { ...old, name: labelOf(old.name) }
      : {
          ...old,
          guard: guard(old.guard),
          operands: old.operands.map(old.op === 'call' ? ofCall : operand),
        };
  return { statement, guard };
}
