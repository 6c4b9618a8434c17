/** Whether the devices along some axes divide a size, and what to say where that is not known. */

import { type Fact, prove } from '../facts.ts';
import { factFixes, stateHelp } from '../obligations.ts';
import { parameterProduct, type Size } from '../size.ts';
import { showName } from '../types.ts';
import type { Meeting } from './joins.ts';
import { axesOfCut, type Cut, type IndexVariable } from './placed-value.ts';
import { origins, type Placing } from './placing.ts';
import { gatherRemedies, listed, report, withRemedies } from './problems.ts';

/** Devices along the axes of the cut together. */
export function devicesOver(cut: Cut): Size {
  return parameterProduct(axesOfCut(cut));
}

function divides(axes: readonly string[], size: Size): Fact {
  return { relation: '|', left: parameterProduct(axes), right: size };
}

export function proveDivides({ facts }: Placing, axes: readonly string[], size: Size): boolean {
  return axes.length === 0 || prove(facts, divides(axes, size));
}

export function proveEqual({ facts }: Placing, left: Size, right: Size): boolean {
  return prove(facts, { relation: '==', left, right });
}

/** Reported with the fact that would do, unless the devices are known to divide the size. */
export function requireDivides(meeting: Meeting, axes: readonly string[], size: Size): boolean {
  const { placing, scope, span } = meeting;
  if (proveDivides(placing, axes, size)) return true;
  const fact = divides(axes, size);
  report(placing, scope, {
    code: 'E0511',
    message: `${showName(size)} is cut over ${listed(axes)} here, and may not divide so`,
    span,
    remark: 'it is cut here',
    help: [stateHelp(placing.declaration, fact)],
    fixes: factFixes({ facts: placing.facts, declaration: placing.declaration }, fact),
  });
  return false;
}

/** `x[(g, r)]` where the devices along the dimension's axes divide neither part as they would have to. */
export function reportUnsplittable(meeting: Meeting, cut: Cut, sizes: readonly Size[]): void {
  const { placing, scope, span } = meeting;
  const major = sizes[0]!;
  const fact = divides(axesOfCut(cut), major);
  const axes = listed(axesOfCut(cut));
  report(placing, scope, {
    code: 'E0512',
    message: `a dimension that is cut over ${axes} splits into ${sizes.map(showName).join(' and ')} only where each device has whole parts`,
    span,
    remark: 'it is split here',
    secondary: origins(cut),
    ...withRemedies(gatherRemedies(placing, cut), stateHelp(placing.declaration, fact)),
    fixes: [
      ...factFixes({ facts: placing.facts, declaration: placing.declaration }, fact),
      ...gatherRemedies(placing, cut).flatMap(({ fix }) => fix ?? []),
    ],
  });
}

/** `for (g, r): …` where r is cut, and g is not cut to single values before it. */
export function reportUnmergeable(meeting: Meeting, index: IndexVariable, before: Size): void {
  const { placing, scope, span } = meeting;
  const axes = listed(axesOfCut(index.cut));
  report(placing, scope, {
    code: 'E0512',
    message: `a device would have parts of each of ${showName(before)} runs of ${index.name}, which is cut over ${axes}: no block of the product dimension`,
    span,
    remark: 'the product dimension is made here',
    secondary: origins(index.cut),
    ...withRemedies(gatherRemedies(placing, index.cut), `cut the major index instead of ${index.name}`),
  });
}
