/** Whether a planned program is of a device of the mesh that it is compiled for. */
import { UserError } from '../../dsl/diagnostics/user-error.ts';
import { deviceCount, devicesAlong } from '../../dsl/placement/placement.ts';
import type { AnyManifest, ExchangeStep, LaunchStep } from './package.ts';

/** Each once, however often it runs. */
export function exchangesOf(steps: readonly LaunchStep[]): readonly ExchangeStep[] {
  return steps.flatMap((step) => {
    if (step.kind === 'loop') return exchangesOf(step.steps);
    return step.kind === 'exchange' ? [step] : [];
  });
}

/** @throws UserError when the graph is of a device of another mesh than it is compiled for. */
export function checkMesh({ entry, mesh = { axes: [] }, bounded = [], kernels, steps }: AnyManifest): void {
  const known = new Set([...mesh.axes.map(({ name }) => name), ...bounded.map(({ size }) => size)]);
  const asked = kernels.flatMap(({ coordinates = [] }) => coordinates).find((axis) => !known.has(axis));
  const unlike = exchangesOf(steps).find(({ axes, devices }) => devices !== devicesAlong(mesh, axes));
  if (asked === undefined && unlike === undefined) return;
  const what =
    asked === undefined
      ? `has an ${unlike?.verb} between ${unlike?.devices} devices`
      : `is cut over ${asked}`;
  throw new UserError(
    'exceeds-device',
    `${entry} ${what}, and there are ${deviceCount(mesh)}`,
    'compile it for the mesh that it is for',
  );
}
