/**
 * The body of an entry with the functions that it calls in place of the calls: registers and labels anew for
 * each call, parameters of a function the variables that the call gives. What is left has no call but to what
 * is declared only, such as `vprintf`.
 */
import type { Instruction, Operand, PtxFunction, PtxModule, Register, Statement, Variable } from '../ptx.ts';
import { PtxError } from '../ptx-error.ts';

export interface InlinedBody {
  readonly statements: readonly Statement[];
  /** Of the entry, and of what it calls once for each call. */
  readonly variables: readonly Variable[];
}

/** More than any kernel needs; a chain of calls could otherwise double at each step. */
const mostStatements = 2_000_000;

/** @throws PtxError at a call of a function that calls itself, however far around. */
export function inlineCalls(module: PtxModule, entry: PtxFunction): InlinedBody {
  const functions = new Map(module.functions.map((each) => [each.name, each]));
  // A definition behind a declaration.
  for (const each of module.functions) if (each.body !== undefined) functions.set(each.name, each);
  const variables: Variable[] = [...entry.variables];
  let copies = 0;
  let total = 0;

  const expand = (body: readonly Statement[], within: readonly string[]): Statement[] => {
    total += body.length;
    return body.flatMap((statement) => {
      if (statement.kind === 'label' || statement.op !== 'call') return [statement];
      const call = callOf(statement);
      const callee = functions.get(call.name);
      if (callee === undefined)
        throw new PtxError(`there is no function ${call.name} in this text`, statement.place);
      if (within.includes(call.name))
        throw new PtxError(`${call.name} calls itself, which is not supported`, statement.place);
      if (callee.problem !== undefined) throw new PtxError(callee.problem.message, callee.problem.place);
      if (callee.body === undefined)
        throw new PtxError(`${call.name} is declared only, and nothing here can run it`, statement.place);
      if (total > mostStatements) throw new PtxError('calls are nested too often', statement.place);
      return copyOf(statement, call, callee, [...within, call.name]);
    });
  };

  const copyOf = (
    statement: Instruction,
    call: CallParts,
    callee: PtxFunction,
    within: readonly string[],
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
      const own = { ...variable, name: `${variable.name} of ${end}` };
      given.set(variable, own);
      variables.push(own);
    }
    variables.push(
      ...callee.variables.filter((each) => each.space === 'shared' && !variables.includes(each)),
    );
    const rename = renamer(given, (label) => `${label} in ${end}`);
    const inside = expand(callee.body ?? [], within).map((each): Statement => {
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

  return { statements: expand(entry.body ?? [], [entry.name]), variables };
}

interface CallParts {
  readonly name: string;
  readonly results: readonly Variable[];
  readonly parameters: readonly Variable[];
}

function callOf(call: Instruction): CallParts {
  const lists: (readonly Variable[])[] = [[], []];
  let name: string | undefined;
  for (const operand of call.operands) {
    if (operand.kind === 'name' && name === undefined) name = operand.name;
    else if (operand.kind === 'arguments')
      lists[name === undefined ? 0 : 1] = operand.variables.map((each) => {
        if (each.kind === 'symbol' && each.variable.space === 'local') return each.variable;
        throw new PtxError('the arguments of a call are variables in .param', call.place);
      });
  }
  if (name === undefined) throw new PtxError('a call names a function', call.place);
  return { name, results: lists[0]!, parameters: lists[1]! };
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
      case 'name':
        return { ...old, name: labelOf(old.name) };
      case 'special':
      case 'integer':
      case 'float':
      case 'sink':
      case 'arguments':
        return old;
    }
  };
  const guard = (old: Instruction['guard']) => old && { ...old, register: register(old.register) };
  const statement = (old: Statement): Statement =>
    old.kind === 'label'
      ? { ...old, name: labelOf(old.name) }
      : { ...old, guard: guard(old.guard), operands: old.operands.map(operand) };
  return { statement, guard };
}
