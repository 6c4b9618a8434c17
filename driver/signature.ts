/** A function's signature as text: as it was declared, or at given sizes. */
import { showFact } from '../dsl/types/obligations.ts';
import { natural } from '../dsl/types/size.ts';
import type { FunctionInfo, Type } from '../dsl/types/typed.ts';
import { showType, substituteType } from '../dsl/types/types.ts';

/** Longer ones have a parameter a line. */
const longestLine = 100;

/** `export fn moe[K](x: float[D], …) -> f32[D] where K <= E` */
export function showSignature(info: FunctionInfo): string {
  const explicit = info.sizes.slice(0, info.explicitSizes);
  const facts = info.facts.length === 0 ? '' : ` where ${info.facts.map(showFact).join(', ')}`;
  const words = `${info.exported ? 'export ' : ''}${info.auto ? 'auto ' : ''}fn`;
  const name = `${words} ${info.name}${explicit.length === 0 ? '' : `[${explicit.join(', ')}]`}`;
  return layout(name, info, showType, facts);
}

/** `moe(x: float[32], …) -> f32[32]` */
export function showInstance(info: FunctionInfo, sizes: ReadonlyMap<string, number>): string {
  const values = new Map([...sizes].map(([name, value]) => [name, natural(value)]));
  return layout(info.name, info, (type) => showType(substituteType(type, values)), '');
}

function layout(
  name: string,
  { parameters, result }: FunctionInfo,
  show: (type: Type) => string,
  after: string,
): string {
  const inputs = parameters.map((parameter) => `${parameter.name}: ${show(parameter.type)}`);
  const line = `${name}(${inputs.join(', ')}) -> ${show(result)}${after}`;
  if (line.length <= longestLine) return line;
  return `${name}(\n${inputs.map((input) => `  ${input},\n`).join('')}) -> ${show(result)}${after}`;
}
