/**
 * Modules as text, for people: the folded form of WebAssembly's text format, with loops written as what they
 * count.
 */
import type { Expression, FunctionCode, ModuleCode, Statement } from './code.ts';

export function printModule({ functions }: ModuleCode): string {
  return functions.map(printFunction).join('\n');
}

function printFunction({ name, parameters, locals, body, result }: FunctionCode): string {
  const types = parameters.length === 0 ? '' : ` (param ${parameters.join(' ')})`;
  return [
    `(func $${name}${types}`,
    ...(locals.length === 0 ? [] : [`  ;; ${locals.length} locals`]),
    ...printBody(body, '  '),
    ...(result === undefined ? [] : [`  ${printExpression(result)}`]),
    ')',
    '',
  ].join('\n');
}

function printBody(body: readonly Statement[], indent: string): string[] {
  return body.flatMap((statement) => printStatement(statement, indent));
}

function printStatement(statement: Statement, indent: string): string[] {
  switch (statement.kind) {
    case 'set':
      return [`${indent}(local.set ${statement.local} ${printExpression(statement.value)})`];
    case 'do':
      return [`${indent}${printExpression(statement.expression)}`];
    case 'run':
      return [`${indent}${printCall(statement.callee, statement.operands)}`];
    case 'repeat':
      return [
        `${indent}(loop ;; while ${printExpression(statement.condition)}`,
        ...printBody(statement.body, `${indent}  `),
        `${indent})`,
      ];
    case 'if':
      return [
        `${indent}(if ${printExpression(statement.condition)} (then`,
        ...printBody(statement.body, `${indent}  `),
        `${indent}))`,
      ];
    case 'loop': {
      const { local, from, to, step, body: inside } = statement;
      const bounds = `${printExpression(from)} … ${printExpression(to)} by ${step}`;
      return [
        `${indent}(loop ;; local ${local} from ${bounds}`,
        ...printBody(inside, `${indent}  `),
        `${indent})`,
      ];
    }
  }
}

function printExpression(expression: Expression): string {
  switch (expression.kind) {
    case 'i32':
    case 'i64':
    case 'f32':
    case 'f64':
      return `(${expression.kind}.const ${expression.value})`;
    case 'v128':
      return `(v128.const i32x4 ${expression.words.map(hexadecimal).join(' ')})`;
    case 'local':
      return `(local.get ${expression.local})`;
    case 'scratch':
      return '(global.get $scratch)';
    case 'shuffle':
      return `(i8x16.shuffle ;; ${expression.lanes.join(' ')}\n${expression.operands.map(printExpression).join(' ')})`;
    case 'call':
      return printCall(expression.callee, expression.operands);
    case 'instruction': {
      const { name, operands, lane, offset = 0 } = expression;
      const immediates = [
        ...(offset === 0 ? [] : [`offset=${offset}`]),
        ...(lane === undefined ? [] : [String(lane)]),
      ];
      return `(${[name.replace(/^...\.select/, 'select'), ...immediates, ...operands.map(printExpression)].join(' ')})`;
    }
  }
}

function printCall(callee: string, operands: readonly Expression[]): string {
  return `(call $${[callee, ...operands.map(printExpression)].join(' ')})`;
}

function hexadecimal(word: number): string {
  return `0x${(word >>> 0).toString(16).padStart(8, '0')}`;
}
