/** What is wrong with a placement, and the collectives that would mend it. */
import type { Fix, Label, Span } from '../../diagnostics/diagnostic.ts';
import { type PendingCombiner, showList } from '../../placement/placement.ts';
import { dtypeFacts } from '../dtype.ts';
import { type Problem, replaceFix } from '../report.ts';
import { dimsOf, showName } from '../types.ts';
import { axesOfCut, type Cut, type CutAxis, type PendingAxis, type Wrappable } from './placed-value.ts';
import { origins, type Place, type PlaceScope, type Placing, placeOf } from './placing.ts';

export const combinerNouns: { readonly [C in PendingCombiner]: string } = {
  sum: 'a sum',
  max: 'a maximum',
  min: 'a minimum',
};

/** `sp`, `node and gpu`. */
export function listed(axes: readonly string[]): string {
  return axes.length < 2 ? (axes[0] ?? '') : `${axes.slice(0, -1).join(', ')} and ${axes.at(-1)}`;
}

/** As a collective takes them: `sp`, `(node, gpu)`. */
function written(axes: readonly string[]): string {
  return axes.length === 1 ? axes[0]! : `(${axes.join(', ')})`;
}

/** `sends (sp − 1)/sp · T·D · 4 bytes`: what a device sends of the whole value. */
function traffic(axes: readonly string[], factor: '' | '2', { times, type }: Wrappable): string {
  const devices = axes.join('·');
  const share = axes.length === 1 ? `(${devices} − 1)/${devices}` : `(1 − 1/(${devices}))`;
  if (type.kind !== 'tensor') return `sends ${factor}${share} of it`;
  const sizes = [...times, ...dimsOf(type).map(({ size }) => size)].map((size) =>
    size.terms.length > 1 ? `(${showName(size)})` : showName(size).replaceAll(' * ', '·'),
  );
  const { element } = type;
  const unit = element.kind === 'dtype' ? `${dtypeFacts[element.dtype].bits / 8} bytes` : 'elements';
  return `sends ${[`${factor}${share}`, ...(sizes.length > 0 ? [sizes.join('·')] : []), unit].join(' · ')}`;
}

export interface Remedy {
  readonly help: string;
  readonly fix: Fix | undefined;
}

/** The expression inside the collective: one remedy for each place where that can be written. */
function wrapped(
  placing: Placing,
  wraps: readonly Wrappable[],
  call: (text: string) => string,
  cost: (wrap: Wrappable) => string,
  fallback: string,
): readonly Remedy[] {
  if (wraps.length === 0) return [{ help: fallback, fix: undefined }];
  return wraps.map((wrap) => {
    const text = call(unparenthesised(placing.text(wrap.span)));
    const help = `${text} ${cost(wrap)}`;
    return { help, fix: replaceFix(help, wrap.span, text) };
  });
}

/** Their fixes, and help: of those that are no fixes, or else `otherwise`. */
export function withRemedies(
  remedies: readonly Remedy[],
  otherwise: string,
): { readonly help: [string, ...string[]]; readonly fixes: readonly Fix[] } {
  const [first, ...rest] = remedies.filter(({ fix }) => fix === undefined).map(({ help }) => help);
  return { help: [first ?? otherwise, ...rest], fixes: remedies.flatMap(({ fix }) => fix ?? []) };
}

/** Gathers the whole of what is cut, one remedy for each expression that brings axes in. */
export function gatherRemedies(placing: Placing, cut: Cut): readonly Remedy[] {
  const groups: CutAxis[][] = [];
  for (const entry of cut) {
    const last = groups.at(-1);
    if (last !== undefined && last[0]!.wraps[0]?.span === entry.wraps[0]?.span) last.push(entry);
    else groups.push([entry]);
  }
  return groups.flatMap((entries) => {
    const axes = axesOfCut(entries);
    return wrapped(
      placing,
      entries[0]!.wraps,
      (text) => `all_gather(${text}, ${written(axes)})`,
      (wrap) => traffic(axes, '', wrap),
      `gather it over ${listed(axes)} with all_gather before`,
    );
  });
}

export function reduceRemedies(
  placing: Placing,
  axes: readonly string[],
  { combiner, cut, wraps }: PendingAxis,
): readonly Remedy[] {
  // Made inside of a function that is called: what the caller can do is gather the argument.
  if (wraps.length === 0 && cut !== undefined && cut.wraps.length > 0) return gatherRemedies(placing, [cut]);
  const all = wrapped(
    placing,
    wraps,
    (text) => `all_reduce(${text}, ${written(axes)})`,
    (wrap) => traffic(axes, '2', wrap),
    `finish it over ${listed(axes)} with all_reduce before`,
  );
  const [wrap] = wraps;
  if (wrap === undefined || combiner !== 'sum') return all;
  const scattered = dimsOf(wrap.type).flatMap(({ size }) =>
    wrapped(
      placing,
      [wrap],
      (text) => `reduce_scatter(${text}, ${written(axes)}, ${showName(size)})`,
      (used) => `${traffic(axes, '', used)}, and cuts ${showName(size)} over ${listed(axes)}`,
      '',
    ),
  );
  return [...all, ...scattered];
}

// ── the problems ───────────────────────────────────────────────────────────────────────────────────────────

/** `what`: "softmax", "the result of f". `name`: of the value, as the user knows it. */
export function needsFinal(
  placing: Placing,
  scope: PlaceScope,
  what: string,
  span: Span,
  pending: ReadonlyMap<string, PendingAxis>,
): void {
  const [first] = pending.values();
  if (first === undefined) return;
  const axes = [...pending.keys()];
  const [wrap] = first.wraps;
  const name = wrap === undefined ? 'its operand' : shortText(unparenthesised(placing.text(wrap.span)));
  const { at, inside } = placeOf(span, `${what} is here`, scope);
  placing.report({
    code: 'E0509',
    message: `${whatIn(what, scope)} needs the final value of ${name}, which is still ${combinerNouns[first.combiner]} over ${listed(axes)}`,
    at,
    secondary: [first.because, ...inside],
    ...withRemedies(
      reduceRemedies(placing, axes, first),
      wayOut('finish it with all_reduce or reduce_scatter', axes, first.wraps, scope),
    ),
  });
}

export function needsWhole(
  placing: Placing,
  scope: PlaceScope,
  what: string,
  span: Span,
  cut: Cut,
  dimension: string,
): void {
  const { at, inside } = placeOf(span, `${what} is here`, scope);
  placing.report({
    code: 'E0508',
    message: `${whatIn(what, scope)} needs the whole of ${dimension} on each device, and it is cut over ${listed(axesOfCut(cut))}`,
    at,
    secondary: [...origins(cut), ...inside],
    ...withRemedies(
      gatherRemedies(placing, cut),
      'gather what is cut, or cut over an index that the work does not go along',
    ),
  });
}

/** Two operands want one range cut in two ways of which neither begins with the other. */
export function cutDifferently(
  placing: Placing,
  scope: PlaceScope,
  what: string,
  span: Span,
  first: Cut,
  second: Cut,
): void {
  const { at, inside } = placeOf(span, 'they meet here', scope);
  const [left, right] = [first, second].map((cut) => showList(axesOfCut(cut)).slice(1));
  placing.report({
    code: 'E0506',
    message: `${what} is cut over ${left} by one operand and over ${right} by another`,
    at,
    secondary: [...origins(first, second), ...inside],
    ...withRemedies(
      [...gatherRemedies(placing, second), ...gatherRemedies(placing, first)],
      'gather one of them, or reshard it with `as [...]`',
    ),
  });
}

export function usedTwice(
  placing: Placing,
  { at, inside }: Place,
  axis: string,
  labels: readonly Label[],
  entries: readonly CutAxis[],
  lookedUp: boolean,
): void {
  placing.report({
    code: 'E0507',
    message: `the axis ${axis} would have to divide this work in two ways at once`,
    at,
    secondary: [...labels, ...inside],
    notes: [
      `a device has one place along ${axis}: one index, or what is pending, can go by it`,
      ...(lookedUp
        ? ['to send tokens to the experts that they look up, use `dispatch` of the standard library']
        : []),
    ],
    ...withRemedies(
      entries.flatMap((entry) => gatherRemedies(placing, [entry])),
      'gather one of the two, or cut it over another axis',
    ),
  });
}

export function report(
  placing: Placing,
  scope: PlaceScope,
  problem: Omit<Problem, 'at'> & { readonly span: Span; readonly remark: string },
): void {
  const { span, remark, ...rest } = problem;
  const { at, inside } = placeOf(span, remark, scope);
  placing.report({ ...rest, at, secondary: [...(rest.secondary ?? []), ...inside] });
}

/**
 * What is said beside fixes: of what was made inside of a called function, its caller gives the arguments
 * only.
 */
function wayOut(
  otherwise: string,
  axes: readonly string[],
  wraps: readonly Wrappable[],
  { call }: PlaceScope,
): string {
  if (call === undefined || wraps.length > 0) return otherwise;
  return `give ${call.name} the whole of what is cut over ${listed(axes)}: gather its argument`;
}

function whatIn(what: string, { call }: PlaceScope): string {
  return call === undefined ? what : `${what} in ${call.name}`;
}

/** Of what can be wrapped, nothing begins and ends with parentheses that do not belong together. */
function unparenthesised(text: string): string {
  return text.startsWith('(') && text.endsWith(')') ? text.slice(1, -1) : text;
}

/** A name or a short expression in a message. */
function shortText(text: string): string {
  return text.length <= 40 && !text.includes('\n') ? text : 'its operand';
}
