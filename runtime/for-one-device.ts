import type { AnyManifest } from '../compiler/plan/package.ts';
import { UserError } from './errors.ts';

/** @throws UserError `wrong-input` when the package is the program of each device of a mesh */
export function checkForOneDevice({ entry, mesh }: Pick<AnyManifest, 'entry' | 'mesh'>): void {
  if (mesh !== undefined)
    throw new UserError(
      'wrong-input',
      `${entry} was compiled for each device of a mesh, not for a single one`,
      'run it on that mesh, or compile it without one',
    );
}
